"""What a run says of the data that it could draw on, and of the training of its adapter."""

import msgspec

from kdb.records import Run
from kdb.student import adapter


def test_a_run_says_what_it_could_draw_on_and_its_name(kdb, samples, tmp_path) -> None:
    lines = (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True)
    known, test = tmp_path / "known.jsonl", tmp_path / "test.jsonl"
    known.write_bytes(b"".join(line for line in lines if b'"split":"test"' not in line))
    test.write_bytes(b"".join(line for line in lines if b'"split":"test"' in line))
    chosen = kdb("select", known, "--strategy", "length", "--prefer", "short", "--amount", "0.5", "-q")
    (tmp_path / "half.jsonl").write_bytes(chosen.out)
    run, *_ = kdb(
        "infer", test, "--baseline", "whole-session", "--kb", tmp_path / "half.jsonl", "--name", "whole"
    ).records
    kb = run["settings"]["kb"]
    assert run["settings"]["name"] == "whole"
    assert (kb["sessions"], kb["validation"], kb["domains"]) == (28, 8, ["kitchen", "outdoor"])
    stamp = {"of": "sessions", "strategy": "length", "prefer": "short", "seed": 0, "amount": 0.5}
    assert kb["selected"] == {**stamp, "per_domain": False}
    unnamed, *_ = kdb("infer", test, "--baseline", "whole-session").records
    assert unnamed["settings"]["kb"] == {} and "name" not in unnamed["settings"]


def test_an_adapter_carries_what_it_was_trained_on(tmp_path) -> None:
    assert adapter.training_facts(tmp_path) == {}
    run = Run(id="t", command="train", settings={"kb": {"sessions": 20}})
    (tmp_path / adapter.RUN).write_bytes(msgspec.json.encode(run))
    assert adapter.training_facts(tmp_path) == {"run": "t", "sessions": 20}
