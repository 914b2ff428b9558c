"""`samples/sweep.py`: students of other settings, cross-fitted and compared."""

import shutil
from pathlib import Path

import msgspec
import pytest
import sweep

from kdb.errors import KdbError
from kdb.records import Bundle, Item, Session
from kdb.student.pairwise import stack

STUDENTS = """
[students.plain]
model = "{model}"
max_steps = 1
[students."told of dropped pairs"]
model = "{model}"
max_steps = 1
dropped = 0.5
[students."taught by plain"]
model = "{model}"
max_steps = 1
distil = "plain"
"""


def run(monkeypatch, *argv: object) -> None:
    monkeypatch.setattr("sys.argv", ["sweep.py", *map(str, argv)])
    sweep.main()


@pytest.fixture
def argv(samples: Path, tiny_student: Path, tmp_path: Path) -> list[object]:
    sessions = tmp_path / "sessions.jsonl"
    lines = (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True)
    sessions.write_bytes(b"".join(line for line in lines if b'"domain":"kitchen"' in line))
    students = tmp_path / "students.toml"
    students.write_text(STUDENTS.format(model=tiny_student))
    return [sessions, "--raw", sessions, "-o", tmp_path / "out", "--students", students, "--folds", 2]


def test_students_are_compared_on_the_folds_that_are_held_out(monkeypatch, argv, tmp_path, capsys) -> None:
    run(monkeypatch, *argv, "--only", "plain")
    folder = tmp_path / "out" / "learners" / "kitchen"
    made = {file: file.stat().st_mtime_ns for file in (folder / "plain").iterdir()}
    assert {file.name for file in made} == {
        f"{name}-{fold}.{kind}"
        for name, kind in (("student", "npz"), ("student", "json"), ("seen", "npz"))
        for fold in (0, 1)
    }
    assert capsys.readouterr().out == ""
    for fold in range(2):
        shutil.copy(folder / "plain" / f"student-{fold}.npz", folder / f"embedder-{fold}.npz")

    run(monkeypatch, *argv)
    rows = msgspec.json.Decoder(sweep.Row).decode_lines((tmp_path / "out" / "students.jsonl").read_bytes())
    assert [row.student for row in rows] == ["plain", "told of dropped pairs", "taught by plain"]
    assert {row.sessions for row in rows} == {16} and {row.domain for row in rows} == {"kitchen"}
    # What stands in for the embedder is the plain student itself, so that it adds nothing.
    assert rows[0].gain < 0.01
    assert rows[0].loss == rows[1].loss != rows[2].loss  # no pair was dropped, and a soft target is another one
    assert rows[0].parameters and rows[0].seconds
    assert capsys.readouterr().out == sweep.table(rows)
    assert made == {file: file.stat().st_mtime_ns for file in (folder / "plain").iterdir()}


def test_an_unknown_setting_and_a_missing_learner_are_named(monkeypatch, argv, tmp_path) -> None:
    run(monkeypatch, *argv, "--only", "plain", "--folds", 1)
    with pytest.raises(KdbError, match=r"embedder-0\.npz: no such file"):
        run(monkeypatch, *argv, "--table", "--folds", 1)
    (tmp_path / "students.toml").write_text("[students.odd]\nrank = 3\n")
    with pytest.raises(KdbError, match="no setting rank"):
        run(monkeypatch, *argv)


def test_only_pairs_of_a_dropped_bundle_are_taught_otherwise() -> None:
    items = [Item(name, f"Lamp {name}") for name in "abcd"]
    minimal = Session("1", "shop", items, bundles=[Bundle(["a", "b"])])
    raw = Session("1", "shop", items, bundles=[Bundle(["a", "b"]), Bundle(["a", "b", "c"])])
    taught = stack.pair_targets([minimal])
    sweep.teach_dropped(taught, [minimal], {raw.key: raw}, 0.25)
    assert taught.targets[0].tolist() == [[0, 1, 0.25, 0], [1, 0, 0.25, 0], [0.25, 0.25, 0, 0], [0, 0, 0, 0]]
