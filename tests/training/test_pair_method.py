"""The answer format pairs: cross-fitted, resumable, and an answer or one line for odd sessions too."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from kdb.evaluation.matched_session import matched_f1
from kdb.partitions.stacking import Gain
from kdb.records import Bundle, Item, Session

pytestmark = pytest.mark.usefixtures("tiny_titles")

TRAIN = ("--max-steps", "4", "--set", "r=4", "--set", "precision=fp32")


@pytest.fixture(scope="module")
def splits(samples, tmp_path_factory):
    """The sample sessions of one shop: paths to `kb` (training and validation) and `test`."""
    folder = tmp_path_factory.mktemp("splits")
    for line in (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True):
        session = msgspec.json.decode(line)
        if session["domain"] == "kitchen":
            with (folder / ("test.jsonl" if session["split"] == "test" else "kb.jsonl")).open("ab") as file:
                file.write(line)
    return folder


@pytest.fixture(scope="module")
def adapter(kdb, splits, tiny_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "adapter"
    done = kdb("train", splits / "kb.jsonl", "--student", tiny_student, "-o", folder, *TRAIN)
    assert done.code == 0, done.stderr
    return folder, done


def test_training_says_what_each_learner_adds(adapter) -> None:
    folder, done = adapter
    measured = done.records[0]["measured"]
    assert set(measured["gains"]) == set(measured["held_out_losses"]) == {"embedder", "student"}
    assert "nats a session out of fold" in done.stderr
    files = {file.name for file in folder.iterdir()}
    assert {"adapter_model.safetensors", "head.safetensors", "pairs.safetensors", "kdb.json", "run.json"} <= files
    assert "cross_fitting" not in files and "settings.json" not in files


def test_a_saved_student_with_both_learners_decides_as_when_it_was_validated(
    kdb, splits, tiny_student, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(Gain, "helps", property(lambda gain: True))
    argv = ("train", splits / "kb.jsonl", "--student", tiny_student, "--no-intents", *TRAIN)
    trained = kdb(*argv, "-o", tmp_path / "adapter")
    assert trained.code == 0, trained.stderr
    sessions = kdb("import", splits / "kb.jsonl", "--format", "jsonl", "--split", "validation").out
    predicted = kdb("infer", "--adapter", tmp_path / "adapter", stdin=sessions)
    assert [word in predicted.stdout for word in ('"answer":"pairs"', '"probability"')] == [True, True]
    scores = [
        matched_f1(*([b["items"] for b in r[side]] for side in ("bundles", "truth")))
        for r in predicted.records
        if r["kind"] == "prediction"
    ]
    assert trained.records[0]["measured"]["best"]["matched_f1"] == pytest.approx(sum(scores) / len(scores))


@pytest.mark.parametrize("utility", ["f1", "precision"])
def test_an_adapter_decides_inside_the_session(kdb, splits, adapter, utility) -> None:
    argv = ("infer", splits / "test.jsonl", "--adapter", adapter[0], "--utility", utility)
    done = kdb(*argv)
    assert done.code == 0, done.stderr
    predictions = [r for r in done.records if r["kind"] == "prediction"]
    sessions = [msgspec.json.decode(line) for line in (splits / "test.jsonl").read_bytes().splitlines()]
    for session, prediction in zip(sessions, predictions, strict=True):
        known = {item["id"] for item in session["items"]}
        assert all(len(b["items"]) > 1 and set(b["items"]) <= known for b in prediction["bundles"])
        assert all(0 <= b["probability"] <= 1 for b in prediction["bundles"])
    again = [r for r in kdb(*argv).records if r["kind"] == "prediction"]
    assert [p["bundles"] for p in again] == [p["bundles"] for p in predictions]


def test_odd_sessions_are_answered(kdb, adapter) -> None:
    def lines(titles: list[str]) -> bytes:
        items = [Item(f"p{n}", title) for n, title in enumerate(titles)]
        return msgspec.json.encode(Session(id=str(len(titles)), domain="d", items=items)) + b"\n"

    given = [["one"], ["same", "same"], ["x" * 100_000, "y", "z"], [f"thing {n}" for n in range(60)]]
    given.append([f"thing {n}" for n in range(500)])
    done = kdb("infer", "-", "--adapter", adapter[0], stdin=b"".join(map(lines, given)))
    assert done.code == 0, done.stderr
    found = {r["id"]: r for r in done.records if r["kind"] == "prediction"}
    assert len(found) == 5
    assert found["1"]["bundles"] == []
    inside = {f"p{n}" for n in range(60)}
    assert all(set(b["items"]) <= inside for b in found["500"]["bundles"])


def test_a_killed_training_goes_on_to_the_same_adapter(kdb, splits, tiny_student, adapter, tmp_path, monkeypatch):
    from kdb.student.pairwise import cross_fitting

    argv = ("train", splits / "kb.jsonl", "--student", tiny_student, "-o", tmp_path / "again", *TRAIN)
    fits = []
    plain = cross_fitting.fit

    def dying(*args, **options):
        if len(fits) == 1:
            raise KeyboardInterrupt
        fits.append(args)
        return plain(*args, **options)

    monkeypatch.setattr(cross_fitting, "fit", dying)
    assert kdb(*argv).code == 130
    monkeypatch.setattr(cross_fitting, "fit", plain)
    done = kdb(*argv, "--resume")
    assert done.code == 0, done.stderr
    assert "student, fold 1" not in done.stderr
    for name in ("adapter_model.safetensors", "head.safetensors", "pairs.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (adapter[0] / name).read_bytes()


def sessions(count: int, groups: list[list[int]], split: str = "train") -> bytes:
    found = []
    for n in range(count):
        items = [Item(f"{n}-{k}", f"{word} {n}") for k, word in enumerate(["kettle", "pan", "hose", "rake"])]
        bundles = [Bundle([items[i].id for i in own]) for own in groups]
        found.append(Session(id=f"{split}{n}", domain="d", split=split, items=items, bundles=bundles))
    return b"".join(msgspec.json.encode(session) + b"\n" for session in found)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (sessions(1, [[0, 1]]) + sessions(1, [[0, 1]], "validation"), 1, "one training session"),
        (sessions(4, []), 1, "no training session has a bundle"),
        (sessions(4, [[0, 1, 2, 3]]), 0, "nats a session"),
    ],
    ids=["single session", "no positive pair", "no negative pair"],
)
def test_training_sessions_all_alike(kdb, tiny_student, tmp_path, given, code, words) -> None:
    argv = ("train", "-", "--student", tiny_student, "-o", tmp_path / "adapter", "--max-steps", "2")
    done = kdb(*argv, stdin=given)
    assert done.code == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [("--demos", "1"), ("--knowledge", "2")])
def test_what_pairs_cannot_show_is_refused(kdb, splits, tiny_student, tmp_path, options) -> None:
    done = kdb("train", splits / "kb.jsonl", "--student", tiny_student, "-o", tmp_path / "adapter", *options)
    assert done.code == 2
    assert "the answer format pairs" in done.stderr


def test_without_an_adapter_there_is_nothing_to_decode(kdb, splits, tiny_student) -> None:
    done = kdb("infer", splits / "test.jsonl", "--student", tiny_student, "--answer", "pairs")
    assert done.code == 1
    assert "pair-prompts" in done.stderr


def test_a_broken_head_is_one_line(kdb, splits, adapter, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(adapter[0], folder)
    (folder / "pairs.safetensors").write_bytes(b"broken")
    done = kdb("infer", splits / "test.jsonl", "--adapter", folder)
    assert done.code == 1
    assert "pairs.safetensors" in done.stderr and "Traceback" not in done.stderr


def edited(folder: Path) -> None:
    file = folder / "kdb.json"
    file.write_text(file.read_text().replace('"pair_features": true', '"pair_features": false'))


def arrays(folder: Path, change: Callable[[dict], dict]) -> None:
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    file = folder / "pairs.safetensors"
    with safe_open(file, "np") as opened:
        said = opened.metadata()
    save_file(change(load_file(file)), file, said)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (edited, "fits nothing"),
        (lambda f: arrays(f, lambda a: {k: a[k] for k in a if k != "association"}), "no tensor 'association'"),
        (lambda f: arrays(f, lambda a: {**a, "weights": a["weights"][:5].copy()}), "weights is (5,), not"),
        (lambda f: arrays(f, lambda a: {**a, "weights": a["weights"] * float("inf")}), "no numbers"),
    ],
)
def test_what_was_fitted_is_what_the_configuration_says(
    kdb, splits, adapter, tmp_path: Path, break_it: Callable[[Path], None], words: str
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(adapter[0], folder)
    break_it(folder)
    done = kdb("infer", splits / "test.jsonl", "--adapter", folder)
    assert (done.code, done.out, len(done.stderr.splitlines())) == (1, b"", 1), done.stderr
    assert "pairs.safetensors" in done.stderr and words in done.stderr


def test_the_embedder_is_trained_once_for_baseline_and_student(kdb, splits, tiny_student, tmp_path, monkeypatch):
    monkeypatch.setenv("KDB_CACHE", str(tmp_path / "cache"))
    kb = tmp_path / "kb.jsonl"
    kb.write_bytes(b"".join((splits / "kb.jsonl").read_bytes().splitlines(keepends=True)[:8]))
    baseline = kdb("infer", splits / "test.jsonl", "--baseline", "partition-crf", "--kb", kb)
    assert baseline.code == 0
    assert "embedder, fold 1 of" in baseline.stderr
    trained = kdb("train", kb, "--student", tiny_student, "-o", tmp_path / "adapter", "--no-intents")
    assert trained.code == 0
    assert "student, fold 1 of" in trained.stderr
    assert "embedder, fold 1 of" not in trained.stderr
