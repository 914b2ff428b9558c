"""From a log without annotations to a student: the teacher's labels are all that it learns from."""

from pathlib import Path

import msgspec
import pytest
from support.command_line import Result
from support.fake_teacher import FakeTeacher, running

from kdb.records import Bundle, Item, Session

pytestmark = pytest.mark.usefixtures("tiny_titles")

STEPS = ("--max-steps", "4")
FEW = ("--set", "r=4", "--set", "precision=fp32")
WORDS = ["tent", "stove", "kettle", "rake", "violin", "drill", "sofa", "parrot", "candle", "tyre"]


def session(number: int, split: str, annotated: bool) -> Session:
    """Two of four products belong together, those whose titles come first: what the fake teacher says too."""
    titles = [f"a camera no {number}", f"a camera bag no {number}"]
    titles += [f"{WORDS[(number + n) % 10]} no {number}" for n in (0, 3)]
    items = [Item(f"{number}-{n}", title) for n, title in enumerate(titles)]
    found = Session(id=str(number), domain="shop", items=items, split=split)
    if annotated:
        found.bundles = [Bundle([items[0].id, items[1].id], "taking pictures")]
    return found


def stream(sessions: list[Session]) -> bytes:
    return b"".join(msgspec.json.encode(one) + b"\n" for one in sessions)


TEST = [session(n, "test", True) for n in range(100, 112)]


@pytest.fixture(scope="module")
def piped(kdb, tmp_path_factory):
    """A stage after the other, with the fake teacher behind those that ask: what the last one gives."""
    folder = tmp_path_factory.mktemp("labels")

    def pipe(given: bytes, *stages: tuple[str, ...]) -> Result:
        with running(FakeTeacher(), folder) as url:
            for stage in stages:
                teacher = ("--teacher", url, "--model", "oracle", "--cache", str(folder / "cache"))
                done = kdb(
                    *stage, *(teacher if stage[0] == "extract" and stage[1] != "pattern" else ()), stdin=given
                )
                assert done.code == 0, done.stderr
                given = done.out
        return done

    return pipe


def train(kdb, kb: bytes, student: Path, folder: Path, *more: str) -> Result:
    return kdb("train", "--student", student, "-o", folder, *FEW, *(more or STEPS), stdin=kb)


@pytest.fixture(scope="module")
def unannotated(piped) -> bytes:
    """Sessions of a log that nobody annotated, with their labels."""
    sessions = [session(n, "train", False) for n in range(16)]
    return piped(stream(sessions), ("extract", "label", "--samples", "2")).out


def test_a_student_learns_from_labels_alone(kdb, unannotated, tiny_student, tmp_path) -> None:
    done = train(kdb, unannotated, tiny_student, tmp_path / "adapter")
    assert done.code == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert "0 training sessions are annotated, 16 have a label" in said
    measured = done.records[0]["measured"]
    assert measured["labels"] == {"oracle": {"sessions": 14, "mean_confidence": 1.0}}
    assert measured["validated_by"] == "labels"
    assert measured["fitted_to"] == {"annotated": 0, "labelled": 14}
    assert measured["intents"]["steps"] == 4
    predicted = kdb("infer", "--adapter", tmp_path / "adapter", stdin=stream(TEST))
    assert predicted.code == 0, predicted.stderr
    bundles = [bundle for p in predicted.records[1:-1] for bundle in p["bundles"]]
    assert bundles and all(bundle["intent"] for bundle in bundles)
    again = kdb("infer", "--adapter", tmp_path / "adapter", stdin=unannotated)
    assert "14 of 16 sessions are those it was trained on" in " ".join(again.stderr.split())


@pytest.mark.parametrize("samples", ["1", "2"])
def test_baselines_learn_from_the_same_labels(kdb, piped, tmp_path, samples) -> None:
    kb, sessions = tmp_path / "kb.jsonl", [session(n, "train", False) for n in range(16)]
    kb.write_bytes(piped(stream(sessions), ("extract", "label", "--samples", samples)).out)
    argv = ("infer", "--baseline", "partition-crf-frozen", "--kb", kb)
    done = kdb(*argv, stdin=stream(TEST))
    assert done.code == 0, done.stderr
    assert done.records[0]["settings"]["kb"]["labelled"] == 16
    predictions = done.records[1:-1]
    right = [p["bundles"] and p["bundles"][0]["items"] == [f"{p['id']}-0", f"{p['id']}-1"] for p in predictions]
    assert sum(map(bool, right)) == len(TEST)
    none = kdb(*argv, "--set", "formats=pattern", stdin=stream(TEST))
    assert none.code == 2 and "needs annotated sessions" in none.stderr


def test_labels_teach_text_answers_by_their_confidence(kdb, unannotated, tiny_student, tmp_path) -> None:
    """Less sure labels weigh less; those that are too unsure are left out."""
    unsure = unannotated.replace(b'"confidence":1.0', b'"confidence":0.5')
    text = ("--answer", "list", "--max-steps", "1")
    losses = []
    for n, kb in enumerate((unannotated, unsure)):
        done = train(kdb, kb, tiny_student, tmp_path / str(n), *text)
        assert done.code == 0, done.stderr
        losses.append(done.records[0]["measured"]["losses"][0])
    assert losses[1] == pytest.approx(losses[0] / 2, rel=0.05)
    refused = train(kdb, unsure, tiny_student, tmp_path / "none", *text, "--min-confidence", "0.6")
    assert refused.code == 1 and "16 with a confidence below 0.6" in " ".join(refused.stderr.split())
    assert "kdb extract label" in refused.stderr


def test_a_label_of_a_validation_session_is_refused(kdb, unannotated, tiny_student, tmp_path) -> None:
    lines = [msgspec.json.decode(line) for line in unannotated.splitlines()]
    for line in lines:
        if line["kind"] == "session" and line["id"] == "7":
            line["split"] = "validation"
    done = train(kdb, b"".join(msgspec.json.encode(line) + b"\n" for line in lines), tiny_student, tmp_path / "x")
    assert done.code == 1 and not done.records
    assert "a label of the validation session '7'" in " ".join(done.stderr.split())


def test_the_whole_pipe_hands_down_every_format(kdb, piped, samples, tiny_student, tmp_path) -> None:
    """Twelve sessions stay annotated, the teacher labels the others, and the default student learns from all."""
    sessions = kdb("import", samples / "demo.jsonl", "--format", "jsonl", "--split", "train,validation").out
    kb = piped(
        sessions,
        ("select", "--amount", "12", "--rest", "unannotated"),
        ("extract", "pattern"),
        ("extract", "thought"),
        ("extract", "label", "--samples", "2", "--demos", "1"),
    )
    formats = {r["format"] for r in kb.records if r["kind"] == "knowledge"}
    assert formats == {"pattern", "thought", "label"}
    done = train(kdb, kb.out, tiny_student, tmp_path / "adapter")
    assert done.code == 0, done.stderr
    run = done.records[0]
    labelled = sum(r["kind"] == "session" and "bundles" not in r for r in kb.records)
    assert run["measured"]["labels"]["oracle"]["sessions"] == labelled > 5
    assert run["settings"]["kb"]["sessions"] == 12
    assert run["settings"]["kb"]["knowledge"]["label"] == labelled + 12
