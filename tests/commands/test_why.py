"""`kdb why`: one session as a person reads it."""

from pathlib import Path

import msgspec
import pytest

from kdb.records import Bundle, FirstAttempt, Item, Knowledge, Prediction, Run, Session, Usage

TITLES = {"a": "Tea pot [red]", "b": "Tea cup", "c": "Bicycle \x1b[31mlamp", "d": "Saddle :smile:"}


def session(identity: str, domain: str = "shop", split: str = "test") -> Session:
    items = [Item(id=i, title=title) for i, title in TITLES.items()]
    return Session(id=identity, domain=domain, items=items, split=split, bundles=[Bundle(["a", "b"], "tea time")])


def prediction(identity: str, run: str = "r", **fields: object) -> Prediction:
    given: dict = {
        "domain": "shop",
        "bundles": [Bundle(["b", "a"], "tea", 0.83), Bundle(["c", "d"])],
        "status": "ok",
    }
    truth = [Bundle(["a", "b"], "tea time"), Bundle(["b", "c", "d"], "ride")]
    return Prediction(id=identity, items=list(TITLES), run=run, **{**given, "truth": truth, **fields})


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    shown = {"demos": ["9", "8"], "knowledge": ["k1", "k2"], "context_dropped": 1}
    repaired = prediction("7", raw="Sure!\n[1, 2] tea", status="repaired", **shown, usage=Usage(90, 8, 0.01))
    knowledge = Knowledge(id="k1", format="rule", domain="shop", text="Cups go with pots.\nAlways.")
    knowledge.first_attempt = FirstAttempt(0.5, 0.5)
    content = {
        "run": [
            Run(id="r", command="infer", settings={"name": "mine"}),
            prediction("6"),
            repaired,
            prediction("7", domain="other", status="failed", bundles=[], run="s"),
            prediction("5", truth=None, bundles=[Bundle(["a", "zz"])]),
        ],
        "kb": [session("9", split="train"), session("9", "other", "train"), knowledge],
        "sessions": [session("6"), session("7")],
    }
    for name, records in content.items():
        (tmp_path / name).write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    return {name: tmp_path / name for name in content}


def test_everything_about_a_session(kdb, files) -> None:
    result = kdb("why", "7", "--domain", "shop", *(f for name, path in files.items() for f in (f"--{name}", path)))
    assert result.code == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "Session 7 of shop, test, 4 items"
    assert lines[1:5] == ["1 a Tea pot [red]", "2 b Tea cup", "3 c Bicycle [31mlamp", "4 d Saddle :smile:"]
    assert "mine (run r): repaired" in lines
    assert "1, 2 tea time 1, 2 tea (p 0.83) 1.00 hit" in lines
    assert "2, 3, 4 ride 3, 4 0.67 hit" in lines
    assert (
        "score: precision 1.000, recall 1.000, coverage 0.833, matched F1 0.833, exact no, pair F1 0.667" in lines
    )
    demo = "9 of shop: 1 Tea pot [red]; 2 Tea cup; 3 Bicycle [31mlamp; 4 Saddle :smile: → [1, 2 tea time]"
    assert lines[lines.index("demonstrations:") + 1 :][:2] == [demo, "8: not in --kb"]
    assert lines[lines.index("knowledge:") + 1 :][:2] == ["rule k1: Cups go with pots. Always.", "k2: not in --kb"]
    assert lines[lines.index("raw answer:") + 1 :][:2] == ["Sure!", "[1, 2] tea"]
    assert any(line.startswith("repairs: the raw answer does not fit") for line in lines)
    assert "left out: 1 did not fit into the prompt" in lines
    assert "cost: 90 tokens in, 8 tokens out, 0.000 seconds, 0.010000 US dollars" in lines
    assert "\x1b" not in result.stdout


def test_without_titles_or_truth_it_says_so(kdb, files) -> None:
    result = kdb("why", "5", "--run", files["run"])
    assert result.code == 0 and "pass them with --sessions" in result.stdout
    assert "zz (not in the session)" in result.stdout and "the session is not annotated" in result.stdout
    failed = kdb("why", "7", "--domain", "other", "--run", files["run"])
    assert "unnamed (run s): failed" in failed.stdout and "missed" in failed.stdout
    assert "no bundle could be read" in failed.stdout and "coverage –, matched F1 0.000" in failed.stdout


def test_runs_beside_each_other_from_a_pipe(kdb, files) -> None:
    other = msgspec.json.encode(prediction("6", run="s", bundles=[])) + b"\n"
    result = kdb("why", "6", stdin=files["run"].read_bytes() + other)
    assert result.code == 0
    assert result.stdout.index("mine (run r)") < result.stdout.index("unnamed (run s)")


def test_what_is_not_there_or_not_clear_is_said_in_one_line(kdb, files) -> None:
    missing = kdb("why", "4", "--run", files["run"])
    assert (missing.code, missing.out) == (1, b"") and "no prediction for session '4'" in missing.stderr
    several = kdb("why", "7", "--run", files["run"])
    assert several.code == 1 and "--domain shop or other" in several.stderr
    assert len(several.stderr.splitlines()) == 1
    broken = kdb("why", "4", stdin=b'{"kind":"prediction","id":"4"}')
    assert broken.code == 1 and "stdin:1: missing field" in broken.stderr
