"""Corrections in a pipe: drawn from training sessions by a teacher, paid for once, shown to a student."""

import json
from pathlib import Path

import pytest
from support.command_line import SAMPLES, Result, run_kdb
from support.fake_teacher import FakeTeacher, running

STUDENT = ("--no-intents", "--set", "batch_size=4", "--demos", "2", "--set", "corrections=true")


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training sessions and four of each other split, a file each, and the cache of a teacher."""
    folder = tmp_path_factory.mktemp("splits")
    lines = (SAMPLES / "sessions.jsonl").read_bytes().splitlines(keepends=True)
    for split, most in (("train", 12), ("validation", 4), ("test", 4)):
        own = [line for line in lines if json.loads(line)["split"] == split]
        (folder / f"{split}.jsonl").write_bytes(b"".join(own[:most]))
    return folder


def extract(
    splits: Path, *argv: object, what: str = "correction", fault: str = "first two", times: int = -1
) -> Result:
    with running(FakeTeacher(fault, times), splits) as url:
        options = ["--teacher", url, "--model", "gpt-4o-mini", "--cache", splits / f"cache {fault}"]
        return run_kdb("extract", what, *argv, *options)


@pytest.fixture(scope="module")
def kb(splits: Path) -> Path:
    file = splits / "kb.jsonl"
    done = extract(splits, splits / "train.jsonl", splits / "validation.jsonl", "-o", file)
    assert done.code == 0, done.stderr
    return file


def records(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def test_each_training_session_is_followed_by_what_was_wrong_with_the_attempt(kb: Path) -> None:
    *found, run = records(kb)
    assert [r["kind"] for r in found] == ["session", "knowledge"] * 12 + ["session"] * 4
    right = 0
    for session, correction in zip(found[:24:2], found[1:24:2], strict=True):
        first, second = (item["id"] for item in session["items"][:2])
        truth = [set(bundle["items"]) for bundle in session["bundles"]]
        assert correction["bundles"] == [{"items": [first, second], "intent": "a guess"}]
        assert (correction["format"], correction["from"]) == ("correction", {"sessions": [session["id"]]})
        assert correction["teacher"] == "gpt-4o-mini" and correction["prompt_hash"] and correction["usage"]
        is_right = truth == [{first, second}]
        assert (correction["text"] == "Correct.") is is_right
        assert is_right or len(correction["text"].splitlines()) >= len(truth)
        hit = any({first, second} <= own for own in truth)
        assert correction["first_attempt"]["precision"] == float(hit)
        right += is_right
    assert run["measured"]["corrections"] == 12 and run["measured"]["correct"] == right
    assert sum(run["measured"]["errors"].values()) >= 12 - right


def test_what_a_rule_began_with_is_not_asked_again(splits: Path) -> None:
    assert extract(splits, splits / "train.jsonl", what="rule", fault="", times=0).code == 0
    done = extract(splits, splits / "train.jsonl", fault="", times=0)
    assert "0 requests sent, 12 answers from the cache" in done.stderr
    assert "left out of attempts: 12 bundles of less than two products, 12 unknown products" in done.stderr


def test_an_answer_that_cannot_be_read_gives_no_correction_and_is_counted(splits: Path) -> None:
    done = extract(splits, splits / "train.jsonl", fault="cut", times=3)
    assert done.code == 0, done.stderr
    assert "9 corrections of 12 sessions" in done.stderr
    assert "3 answers that cannot be read" in done.stderr
    assert [r["kind"] for r in done.records].count("knowledge") == 9


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["test.jsonl"], 1, "is of the test split (pass on only training sessions)"),
        (["train.jsonl", "--allow-test"], 2, "no correction is drawn from test sessions (leave it out)"),
    ],
)
def test_test_sessions_are_refused(argv: list[str], code: int, message: str, splits: Path) -> None:
    done = extract(splits, splits / argv[0], *argv[1:])
    assert (done.code, done.out) == (code, b"")
    assert message in done.stderr


def test_annotations_make_no_errors(splits: Path) -> None:
    done = run_kdb("extract", "correction", splits / "train.jsonl", "--teacher", "annotations")
    assert (done.code, done.out) == (2, b"")
    assert done.stderr == (
        "kdb: no correction comes of --teacher annotations: they make no errors (name a server or a model)\n"
    )


def test_a_student_is_shown_the_corrections_of_its_neighbours(kb: Path, splits: Path, tiny_student: Path) -> None:
    done = run_kdb("infer", splits / "test.jsonl", "--student", tiny_student, "--kb", kb, *STUDENT)
    assert done.code == 0, done.stderr
    run, *predictions, _ = done.records
    assert run["settings"]["corrections"] is True
    wrong = {
        r["from"]["sessions"][0]: r["id"]
        for r in records(kb)
        if r["kind"] == "knowledge" and r["text"] != "Correct."
    }
    assert all(p["knowledge"] == [wrong[demo] for demo in p["demos"] if demo in wrong] for p in predictions)
    assert any(p["knowledge"] for p in predictions)
    plain = run_kdb("infer", splits / "test.jsonl", "--student", tiny_student, "--kb", kb, *STUDENT[:-2])
    assert all(
        longer["usage"]["prompt_tokens"] > one["usage"]["prompt_tokens"]
        for longer, one in zip(predictions, plain.records[1:-1], strict=True)
        if longer["knowledge"]
    )
    assert [p["demos"] for p in predictions] == [p["demos"] for p in plain.records[1:-1]]
    assert run["settings"]["prompt_hash"] != plain.records[0]["settings"]["prompt_hash"]


@pytest.mark.parametrize(
    ("kb_file", "more", "message"),
    [
        ("train.jsonl", STUDENT, "no training session has a correction to show (kdb extract correction)"),
        ("kb.jsonl", (*STUDENT, "--answer", "pair-prompts"), "pair-prompts has no dialogue to correct"),
        ("kb.jsonl", STUDENT[-2:], "corrections stand in demonstrations, and there are none (pass --demos)"),
        ("kb.jsonl", (*STUDENT[-2:], "--baseline", "clusters"), "no effect with --baseline"),
    ],
)
def test_where_nothing_can_be_shown_that_is_one_line(
    kb: Path, kb_file: str, more: tuple, message: str, splits: Path, tiny_student: Path
) -> None:
    student = () if "--baseline" in more else ("--student", tiny_student)
    done = run_kdb("infer", splits / "test.jsonl", "--kb", splits / kb_file, *student, *more)
    assert (done.code, done.out, done.stderr.count("\n")) == (2, b"", 1)
    assert message in done.stderr


def test_a_selection_keeps_the_corrections_of_its_sessions(kb: Path) -> None:
    done = run_kdb("select", kb, "--amount", "3")
    sessions = {r["id"] for r in done.records if r["kind"] == "session" and r["split"] == "train"}
    assert len(sessions) == 3
    assert {r["from"]["sessions"][0] for r in done.records if r["kind"] == "knowledge"} == sessions
    assert "3 of 12 corrections" in done.stderr
    hardest = run_kdb("select", kb, "--strategy", "difficulty", "--amount", "3")
    assert hardest.code == 0, hardest.stderr


def test_the_prompt_is_shown_as_a_student_reads_it(splits: Path) -> None:
    shown = run_kdb("prompts", "show", "demo_correction", splits / "train.jsonl").stdout
    first, *judgements, last = shown.splitlines()
    assert (first, last) == ("That answer was judged as follows:", "Answer again.")
    assert judgements and all(line.startswith("Bundle ") for line in judgements)
