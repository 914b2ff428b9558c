"""The one rule for outputs: whole or not there, nothing replaced that is no file, no two runs on one output."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kdb.errors import KdbError, UsageError
from kdb.io import files, stream

LINE = b'{"kind": "note"}\n'


def write(path: Path, content: bytes = LINE, force: bool = False) -> None:
    with files.atomic_file(path, force) as file:
        file.write(content)


def test_a_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with files.atomic_file(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        assert files.partial(path).read_bytes() == b"half"
    assert path.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_failed_run_had_written_stays_and_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(ValueError), files.atomic_file(path) as file:
        file.write(b"a long first attempt")
        raise ValueError
    assert files.partial(path).read_bytes() == b"a long first attempt"
    write(path, b"short")
    assert path.read_bytes() == b"short"


def test_nothing_is_left_of_a_run_that_wrote_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError), files.atomic_file(tmp_path / "out"):
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_needs_force_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with pytest.raises(UsageError, match="exists"):
        write(path)
    assert path.read_bytes() == b"old"
    write(path, force=True)
    assert path.read_bytes() == LINE
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "file").write_bytes(b"old")
    link, dangling = tmp_path / "link", tmp_path / "dangling"
    link.symlink_to(folder / "file")
    dangling.symlink_to(folder / "new")
    write(link, force=True)
    write(dangling)
    assert link.is_symlink() and (folder / "file").read_bytes() == LINE
    assert dangling.is_symlink() and (folder / "new").read_bytes() == LINE


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write(pipe)  # without --force: nothing is overwritten
    reader.join(10)
    assert found == [LINE]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    for path in (Path("/dev/null"), link):
        write(path, force=True)
        assert stat.S_ISCHR(path.stat().st_mode)
    assert list(tmp_path.iterdir()) == [link]
    with pytest.raises(KdbError, match="No space left"), stream.output(Path("/dev/full")) as file:
        stream.write([LINE.rstrip()], file)


def test_standard_streams_are_added_to_by_name(tmp_path: Path) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(Path(files.__file__).parents[1])!r})
from pathlib import Path
from kdb.io import files
for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", {str(tmp_path / "link")!r}):
    with files.atomic_file(Path(name)) as file: file.write(b"x")
"""
    (tmp_path / "link").symlink_to("/dev/stdout")
    with (tmp_path / "all").open("wb") as out:
        out.write(b"before ")
        out.flush()
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "all").read_bytes() == b"before xxxx"


def test_two_runs_on_one_output_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with files.atomic_file(path) as file:
        file.write(b"first")
        with pytest.raises(KdbError, match="another run is writing it"):
            write(path)
        with pytest.raises(KdbError, match="another run"), files.continued_file(path):
            pass
    assert path.read_bytes() == b"first"
    with files.atomic_folder(tmp_path / "folder") as folder:
        (folder / "a").touch()
        with pytest.raises(KdbError, match="another run"), files.atomic_folder(tmp_path / "folder"):
            pass
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["missing/out", "file/out", "."])
def test_a_place_that_is_none_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KdbError) as error:
        write(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name)) and "\n" not in str(error.value)


def test_a_folder_of_anything_else_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "adapter"
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="exists"), files.atomic_folder(path):
        pass
    with pytest.raises(UsageError, match="it holds no kdb"), files.atomic_folder(path, True, marker="kdb.json"):
        pass
    assert (path / "thesis.txt").read_text() == "years of work"


def test_a_folder_is_replaced_whole_and_an_unfinished_one_gone_on_with(tmp_path: Path) -> None:
    path, other = tmp_path / "adapter", tmp_path / "adapter.part"
    other.mkdir()
    (other / "thesis.txt").touch()
    for content in ("old", "new"):
        with files.atomic_folder(path, force=True, marker="kdb.json") as folder:
            (folder / "kdb.json").write_text(content)
            (folder / content).touch()
    assert sorted(p.name for p in path.iterdir()) == ["kdb.json", "new"]
    with pytest.raises(ValueError), files.atomic_folder(tmp_path / "two") as folder:
        (folder / "checkpoint").touch()
        raise ValueError
    with pytest.raises(ValueError), files.atomic_folder(tmp_path / "two", resume=True) as folder:
        assert [p.name for p in folder.iterdir()] == ["checkpoint"]
        raise ValueError
    with files.atomic_folder(tmp_path / "two") as folder:
        assert list(folder.iterdir()) == []
    assert (other / "thesis.txt").exists()


def test_going_on_changes_nothing_until_something_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    stopped = LINE * 3 + b'{"kind": "cut sho'
    files.partial(path).write_bytes(stopped)
    with pytest.raises(ValueError), stream.resume_output(path) as (_, done):
        assert len(done) == 3
        raise ValueError
    assert files.partial(path).read_bytes() == stopped
    with stream.resume_output(path) as (file, done):
        stream.write([LINE.rstrip()], file)
    assert path.read_bytes() == LINE * 4
    assert not files.partial(path).exists()
    path.write_bytes(stopped)  # as a redirection leaves it
    with stream.resume_output(path) as (_, done):
        pass
    assert path.read_bytes() == LINE * 3


def test_rejects_are_added_and_never_to_what_is_read_or_written(tmp_path: Path, kdb) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"precious\n")
    for n in range(2):
        done = kdb("extract", "pattern", "--rejects", bad, stdin=f"wrong {n}\n")
        assert done.code == 1
    kept, *lines = bad.read_text().splitlines()
    assert kept == "precious" and ["wrong 0" in lines[0], "wrong 1" in lines[1]] == [True, True]
    (tmp_path / "in.jsonl").write_bytes(LINE)
    for argv in (["in.jsonl", "--rejects", "in.jsonl"], ["in.jsonl", "-o", "out", "--rejects", "./out"]):
        done = kdb("extract", "pattern", *argv, cwd=tmp_path)
        assert done.code == 2 and "the same file as" in done.stderr
    assert (tmp_path / "in.jsonl").read_bytes() == LINE


def test_no_home_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KDB_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(KdbError, match="set KDB_CACHE"):
        files.cache_folder()
