"""Inference: the closed world, the order of the input, demonstrations that do not leak, resuming a killed run."""

import signal
import subprocess
import sys
import time

import msgspec
import pytest

STUDENT_OPTIONS = ("--no-intents", "--set", "batch_size=4")


@pytest.fixture(scope="module")
def splits(samples, tmp_path_factory):
    """The sample sessions by split: paths to `train`, `validation` and `test` files."""
    folder = tmp_path_factory.mktemp("splits")
    for line in (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True):
        with (folder / f"{msgspec.json.decode(line)['split']}.jsonl").open("ab") as file:
            file.write(line)
    return folder


def check(sessions: list[dict], predictions: list[dict]) -> None:
    """Predictions are of these sessions in this order and inside the closed world."""
    assert [p["id"] for p in predictions] == [s["id"] for s in sessions]
    for session, prediction in zip(sessions, predictions, strict=True):
        known = {item["id"] for item in session["items"]}
        assert prediction["truth"] == session["bundles"]
        for bundle in prediction["bundles"]:
            assert len(bundle["items"]) == len(set(bundle["items"])) >= 2
            assert set(bundle["items"]) <= known


def read(path):
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("answer", ["list", "labels"])
def test_an_untrained_student_stays_in_the_closed_world(kdb, splits, tiny_student, answer):
    sessions = read(splits / "test.jsonl")
    done = kdb("infer", splits / "test.jsonl", "--student", tiny_student, "--answer", answer, *STUDENT_OPTIONS)
    assert done.code == 0, done.stderr
    run, *predictions, _ = done.records
    assert run["kind"] == "run"
    assert {p["status"] for p in predictions} == {"ok"}
    assert {p["run"] for p in predictions} == {run["id"]}
    check(sessions, predictions)


def test_free_answers_fail_and_are_counted(kdb, splits, tiny_student):
    done = kdb(
        "infer", splits / "test.jsonl", "--student", tiny_student, "--set", "unconstrained=true", *STUDENT_OPTIONS
    )
    assert done.code == 0, done.stderr
    assert "failed" in {p["status"] for p in done.records[1:-1]}
    check(read(splits / "test.jsonl"), done.records[1:-1])


def test_demonstrations_come_from_training_sessions_only(kdb, splits, tiny_student, tmp_path):
    kb = tmp_path / "kb.jsonl"
    kb.write_bytes((splits / "train.jsonl").read_bytes() + (splits / "validation.jsonl").read_bytes())
    training = {(s["domain"], s["id"]) for s in read(splits / "train.jsonl")}
    three = b"".join((splits / "train.jsonl").read_bytes().splitlines(keepends=True)[:3])
    options = ("--student", tiny_student, "--kb", kb, "--demos", "2", *STUDENT_OPTIONS)
    done = kdb("infer", "-", *options, stdin=three)
    assert done.code == 0, done.stderr
    for prediction in done.records[1:-1]:
        assert len(prediction["demos"]) == 2
        assert prediction["id"] not in prediction["demos"]
        assert {(prediction["domain"], d) for d in prediction["demos"]} <= training


def test_demonstrations_from_the_test_split_are_refused(kdb, splits, tiny_student):
    done = kdb("infer", splits / "test.jsonl", "--kb", splits / "test.jsonl", "--demos", "1")
    assert done.code == 1
    assert "test.jsonl:1: session" in done.stderr
    assert "test split" in done.stderr


def test_demonstrations_need_a_knowledge_base(kdb, splits, tiny_student):
    done = kdb("infer", splits / "test.jsonl", "--student", tiny_student, "--demos", "1")
    assert done.code == 2
    assert "--kb" in done.stderr


def test_a_long_prompt_loses_demonstrations_not_the_session(kdb, splits, tiny_student):
    options = ("--demos", "3", "--set", "max_prompt_tokens=400", "--kb", splits / "train.jsonl")
    done = kdb("infer", splits / "test.jsonl", "--student", tiny_student, *options, *STUDENT_OPTIONS)
    assert done.code == 0, done.stderr
    predictions = done.records[1:-1]
    assert any(p["context_dropped"] for p in predictions)
    check(read(splits / "test.jsonl"), predictions)


def test_other_records_pass_in_place(kdb, splits):
    lines = (splits / "test.jsonl").read_bytes().splitlines(keepends=True)[:2]
    other = b'{"kind": "note",  "text": "caf\\u00e9"}\n'
    done = kdb("infer", "-", "--baseline", "whole-session", stdin=lines[0] + other + lines[1])
    assert done.code == 0, done.stderr
    assert done.out.splitlines(keepends=True)[2] == other
    assert [r["kind"] for r in done.records] == ["run", "prediction", "note", "prediction", "end"]


def test_a_session_that_stands_twice_is_named(kdb, splits):
    line = (splits / "test.jsonl").read_bytes().splitlines(keepends=True)[0]
    done = kdb("infer", "-", "--baseline", "all-pairs", stdin=line + line)
    assert done.code == 1
    assert "stdin:2" in done.stderr


def test_empty_input(kdb):
    done = kdb("infer", "-", "--baseline", "all-pairs", stdin=b"")
    assert done.code == 1
    assert "no session" in done.stderr


def test_a_killed_run_is_finished_by_resume(kdb, splits, tiny_student, tmp_path):
    """SIGKILL once the first predictions are out, a cut last line, then --resume: the same predictions."""
    sessions = b"".join((splits / name).read_bytes() for name in ("train.jsonl", "test.jsonl"))
    source = tmp_path / "sessions.jsonl"
    source.write_bytes(sessions)
    argv = ["infer", source, "--student", tiny_student, *STUDENT_OPTIONS]
    out = tmp_path / "out.jsonl"
    process = subprocess.Popen([sys.executable, "-m", "kdb", *map(str, argv), "-o", str(out)])
    part = tmp_path / "out.jsonl.kdb-part"
    while process.poll() is None:
        if part.exists() and part.read_bytes().count(b"\n") > 1:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    process.wait()
    whole = part.read_bytes()
    part.write_bytes(whole + b'{"kind": "predic')
    done = kdb(*argv, "--resume", out)
    assert done.code == 0, done.stderr
    assert out.read_bytes().startswith(whole)
    assert not part.exists()
    undisturbed = kdb(*argv)
    for a, b in zip(read(out)[1:-1], undisturbed.records[1:-1], strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}


def test_resume_refuses_another_run(kdb, splits, tmp_path):
    out = tmp_path / "out.jsonl"
    assert kdb("infer", splits / "test.jsonl", "--baseline", "all-pairs", "-o", out).code == 0
    done = kdb("infer", splits / "test.jsonl", "--baseline", "whole-session", "--resume", out)
    assert done.code == 1
    assert "out.jsonl:1" in done.stderr


def test_an_adapter_that_is_none(kdb, splits, tmp_path):
    done = kdb("infer", splits / "test.jsonl", "--adapter", tmp_path)
    assert done.code == 1
    assert "kdb.json" in done.stderr
