"""The record stream: the unknown passes byte for byte, output is whole or not there, exit codes tell."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.errors import KdbError, UsageError
from kdb.io import stream
from kdb.io.stream import Rejects
from kdb.records import Session

KDB = f"{sys.executable} -m kdb"
LINE = b'{"kind":"session","id":"1","domain":"d","items":[{"id":"a","title":"T"}]}'


def written(lines, path: Path) -> bytes:
    with path.open("wb") as file:
        stream.write(lines, file)
    return path.read_bytes()


text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def session_objects(draw) -> dict:
    """A session as a JSON object, with fields that we do not know in it."""
    ids = draw(st.lists(text.filter(bool), min_size=2, max_size=5, unique=True))
    bundle = st.lists(st.sampled_from(ids), min_size=2, max_size=len(ids), unique=True)
    known = {
        "kind": "session",
        "id": draw(text),
        "domain": draw(text),
        "items": [{"id": i, "title": draw(text)} for i in ids],
        "bundles": [{"items": b, "intent": draw(text)} for b in draw(st.lists(bundle, max_size=3))],
    }
    names = text.filter(lambda name: name not in {*Session.__struct_fields__, "kind"})
    return {**draw(st.dictionaries(names, json_values, max_size=4)), **known}


@given(st.lists(session_objects(), max_size=4))
def test_sessions_pass_byte_for_byte(tmp_path_factory, sessions: list[dict]) -> None:
    folder = tmp_path_factory.mktemp("pass")
    content = b"".join(msgspec.json.encode(s) + b"\n" for s in sessions)
    (folder / "in.jsonl").write_bytes(content)
    assert written(stream.read([folder / "in.jsonl"], ["session"]), folder / "out.jsonl") == content


@given(session_objects())
def test_stamping_keeps_all_other_fields(data: dict) -> None:
    line = stream.Line(msgspec.json.encode(data).decode(), "session", None)
    stamped = line.with_fields(split="test")
    assert msgspec.json.decode(stamped.text) == {**data, "split": "test"}
    assert isinstance(stamped.record, Session)
    assert stamped.record.split == "test"


@given(session_objects())
def test_a_decoded_session_says_what_was_read(data: dict) -> None:
    session = msgspec.json.decode(msgspec.json.encode(data), type=Session)
    again = msgspec.json.decode(msgspec.json.encode(session))
    assert {key: data[key] for key in ("id", "domain", "items", "bundles")}.items() <= again.items()


def test_unknown_kinds_and_order(tmp_path: Path) -> None:
    content = b'{"kind":"x", "a" : 1}\n' + LINE + b'\n{"b":[],"kind":"y"}\n'
    (tmp_path / "in").write_bytes(content)
    lines = list(stream.read([tmp_path / "in"], ["session"]))
    assert [line.kind for line in lines] == ["x", "session", "y"]
    assert [line.place for line in lines] == [f"{tmp_path / 'in'}:{n}" for n in (1, 2, 3)]
    assert [line.record is None for line in lines] == [True, False, True]
    assert written(lines, tmp_path / "out") == content


def test_blank_lines_count_but_do_not_pass(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\n\n" + LINE + b"\r\n  \n" + LINE)
    assert [line.number for line in stream.read([tmp_path / "in"], ["session"])] == [3, 5]


def test_dash_is_stdin_between_files(kdb, tmp_path: Path) -> None:
    first, second = LINE.replace(b'"1"', b'"2"'), LINE.replace(b'"1"', b'"3"')
    (tmp_path / "a").write_bytes(first)
    (tmp_path / "b").write_bytes(second)
    done = kdb("select", "--amount", "1.0", "a", "-", "b", stdin=LINE, cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert [record["id"] for record in done.records] == ["2", "1", "3"]


def test_stamping_what_does_not_fit_names_the_line() -> None:
    line = stream.Line(LINE.decode(), "session", None, "shop.jsonl", 7)
    with pytest.raises(KdbError, match=r"shop\.jsonl:7: split: Invalid enum value"):
        line.with_fields(split="dev")


def test_memory_does_not_hold_the_input() -> None:
    """Lines come one by one: the first is there before the second was asked for."""
    reading, writing = os.pipe()
    os.write(writing, LINE + b"\n")
    lines = stream.read([Path(f"/dev/fd/{reading}")], ["session"])
    assert next(lines).number == 1
    os.close(writing)
    assert list(lines) == []
    os.close(reading)


def test_rejects_are_whole_at_once(tmp_path: Path) -> None:
    rejects = Rejects(tmp_path / "rejects")
    rejects.add("f:1", "bad", "\ufffd<x>")
    assert msgspec.json.decode((tmp_path / "rejects").read_bytes()) == {
        "kind": "reject",
        "place": "f:1",
        "error": "bad",
        "line": "\ufffd<x>",
    }


def test_output_is_renamed_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with stream.output(path) as file:
        file.write(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"
    assert not (tmp_path / "out.kdb-part").exists()


def test_failed_output_stays_apart(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(KdbError), stream.output(path) as file:
        file.write(b"half")
        raise KdbError("no")
    assert not path.exists()
    assert (tmp_path / "out.kdb-part").read_bytes() == b"half"


def test_existing_output_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match="--force"), stream.output(path):
        pass
    assert path.read_bytes() == b"old"
    with stream.output(path, force=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_output_of_a_command(kdb, samples: Path, tmp_path: Path) -> None:
    argv = ["import", samples / "kitchen", "-o", "out.jsonl"]
    assert kdb(*argv, cwd=tmp_path).code == 0
    whole = (tmp_path / "out.jsonl").read_bytes()
    assert whole.count(b"\n") == 40
    assert kdb(*argv, cwd=tmp_path).code == 2
    assert kdb(*argv, "--force", cwd=tmp_path).code == 0
    failed = kdb("import", "--format", "jsonl", "-o", "new.jsonl", stdin=LINE + b"\nno\n", cwd=tmp_path)
    assert failed.code == 1
    assert not (tmp_path / "new.jsonl").exists()
    assert (tmp_path / "new.jsonl.kdb-part").read_bytes() == LINE + b"\n"
    nowhere = kdb("import", samples / "kitchen", "-o", "no/folder", cwd=tmp_path)
    assert nowhere.code == 1
    assert nowhere.stderr.splitlines()[-1].startswith("kdb: no/folder: there is no folder ")


def test_good_lines_are_written_beside_bad_ones(kdb, tmp_path: Path) -> None:
    other = LINE.replace(b'"1"', b'"2"')
    argv = ["import", "--format", "jsonl", "--rejects", "bad.jsonl", "-o", "out"]
    done = kdb(*argv, stdin=LINE + b"\nno\n" + LINE + b"\n" + other, cwd=tmp_path)
    assert done.code == 1
    assert (tmp_path / "out").read_bytes() == LINE + b"\n" + other + b"\n"
    rejects = [msgspec.json.decode(line) for line in (tmp_path / "bad.jsonl").open("rb")]
    assert [r["place"] for r in rejects] == ["stdin:2", "stdin:3"]
    assert "stands at stdin:1 already" in rejects[1]["error"]


def test_quiet_says_nothing(kdb, samples: Path) -> None:
    done = kdb("import", samples / "kitchen", "-q")
    assert (done.code, done.stderr) == (0, "")


def test_a_reader_that_closes_the_pipe_gives_141(samples: Path, tmp_path: Path) -> None:
    many = tmp_path / "many.jsonl"
    with many.open("wb") as file:  # more than a pipe holds
        file.writelines(LINE.replace(b'"1"', f'"{n}"'.encode()) + b"\n" for n in range(20_000))
    script = f"set -o pipefail; {KDB} import --format jsonl {many} | head -1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60)
    assert done.returncode == 141
    assert done.stdout == LINE.replace(b'"1"', b'"0"') + b"\n"
    assert done.stderr == b""


def test_interrupt_gives_130(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "kdb", "import", "--format", "jsonl"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    def heed_interrupts() -> None:
        # A suite that runs in the background of a shell inherits that SIGINT is ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(argv, **pipes, preexec_fn=heed_interrupts) as child:
        assert child.stdin and child.stdout and child.stderr
        child.stdin.write(LINE + b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == LINE + b"\n"  # records are flushed one by one: it is at work
        child.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert child.wait(timeout=30) == 130
        assert time.monotonic() - start < 10
        assert child.stderr.read() == b"kdb: interrupted\n"


def test_a_full_disk_is_one_line(samples: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    script = f"{KDB} import {samples / 'kitchen'} > /dev/full"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "kdb: stdout: No space left on device"


@pytest.mark.parametrize("bounds", ["[0.5]", "[]", "[0.1,0.2,0.3]", '["a","b"]', "null"])
def test_an_interval_has_two_bounds(kdb, bounds: str) -> None:
    metric = (
        '{"kind":"metric","v":2,"run":"r","domain":"d","protocol":"strict","sessions":1,"values":{"matched_f1":0.5},'
        f'"intervals":{{"matched_f1":{bounds}}}}}'
    )
    done = kdb("report", "--table", "main", stdin=metric)
    assert done.code == 1
    assert done.stderr.startswith("kdb: stdin:1: intervals[...]")
