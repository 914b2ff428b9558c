"""Where a training works: nothing that it did not make is deleted, and two trainings exclude each other."""

import pytest

from kdb.errors import KdbError, UsageError
from kdb.io.files import PARTIAL as SUFFIX
from kdb.student.working_folder import working_folder


def test_the_folder_gets_its_name_at_the_end(tmp_path) -> None:
    with working_folder(tmp_path / "out") as part:
        (part / "kdb.json").write_text("{}")
        assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kdb.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_run_left_is_kept_to_resume_and_else_begun_anew(tmp_path) -> None:
    part = tmp_path / ("out" + SUFFIX)
    part.mkdir()
    (part / "checkpoint.pt").write_text("hours of work")
    with pytest.raises(KeyError), working_folder(tmp_path / "out", resume=True):
        raise KeyError
    assert (part / "checkpoint.pt").read_text() == "hours of work"
    with working_folder(tmp_path / "out") as own:
        assert not list(own.iterdir())


@pytest.mark.parametrize("name", ["out", "out" + SUFFIX])
def test_a_folder_of_others_is_not_deleted(tmp_path, name) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("thesis")
    with pytest.raises(UsageError, match=r"thesis.txt, which kdb train did not make"):
        working_folder(tmp_path / "out", force=True).__enter__()
    assert (tmp_path / name / "thesis.txt").read_text() == "thesis"


def test_an_output_that_is_there_needs_force(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("old")
    with pytest.raises(UsageError, match="--force"):
        working_folder(tmp_path / "out").__enter__()
    with working_folder(tmp_path / "out", force=True) as part:
        (part / "run.json").write_text("new")
        assert (tmp_path / "out" / "run.json").read_text() == "old"
    assert (tmp_path / "out" / "run.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_is_no_folder(tmp_path) -> None:
    (tmp_path / "out").write_text("text")
    with pytest.raises(UsageError, match="is no folder"):
        working_folder(tmp_path / "out", force=True).__enter__()


def test_two_trainings_exclude_each_other(tmp_path) -> None:
    with working_folder(tmp_path / "out") as part:
        (part / "checkpoint.pt").write_text("of the first")
        with pytest.raises(KdbError, match="another run is writing it"):
            working_folder(tmp_path / "out").__enter__()
        assert (part / "checkpoint.pt").read_text() == "of the first"


def test_the_input_is_read_before_the_output_is_touched(kdb, tmp_path) -> None:
    part = tmp_path / ("out" + SUFFIX)
    part.mkdir()
    (part / "checkpoint.pt").write_text("hours of work")
    done = kdb("train", tmp_path / "none.jsonl", "-o", tmp_path / "out")
    assert done.code == 1
    assert "none.jsonl" in done.stderr
    assert (part / "checkpoint.pt").read_text() == "hours of work"
