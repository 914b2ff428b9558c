"""`kdb infer --window 1` as a co-process: a line in, its answer out, as long as the program runs that feeds it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

LINES, WARM = 1000, 200
GROWTH = 2_000
"""KiB in 800 lines: each holds a kilobyte that is not read again."""


@contextmanager
def co_process(*options: object) -> Iterator[subprocess.Popen[bytes]]:
    """`kdb infer` between two pipes; it ends when its stdin does."""
    argv = [sys.executable, "-m", "kdb", "infer", *map(str, options)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            yield process
        finally:
            process.kill()


def resident(process: subprocess.Popen[bytes]) -> int:
    """The memory of a process in KiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def session(number: int) -> bytes:
    items = [{"id": f"{number}-{n}", "title": f"{number} {n} {'word ' * 40}"} for n in range(5)]
    return (
        msgspec.json.encode({"kind": "session", "v": 2, "id": str(number), "domain": "d", "items": items}) + b"\n"
    )


def test_a_program_feeds_a_line_and_reads_its_answer() -> None:
    with co_process("--baseline", "all-pairs", "--window", 1) as process:
        assert process.stdin and process.stdout
        assert msgspec.json.decode(process.stdout.readline())["kind"] == "run"  # before anything is fed
        warm = 0
        for number in range(LINES):
            process.stdin.write(session(number))
            answer = msgspec.json.decode(process.stdout.readline())
            assert (answer["kind"], answer["id"], len(answer["bundles"])) == ("prediction", str(number), 10)
            if number == WARM:
                warm = resident(process)
        assert resident(process) - warm < GROWTH
        process.stdin.write(b'{"kind": "note"}\n' + session(0))  # others pass at once, and an id may come again
        assert process.stdout.readline() == b'{"kind": "note"}\n'
        assert msgspec.json.decode(process.stdout.readline())["id"] == "0"
        process.stdin.close()
        assert msgspec.json.decode(process.stdout.readline())["sessions"] == {"d": LINES + 1}
        assert process.wait(10) == 0


@pytest.mark.parametrize("window", [1, 3, 64])
def test_answers_are_those_of_the_whole_input(kdb, samples, window: int) -> None:
    argv = ("infer", samples / "sessions.jsonl", "--baseline", "all-pairs")
    whole, own = kdb(*argv).records, kdb(*argv, "--window", window).records
    assert "sessions" not in own[0]["inputs"]
    same = {"run": "", "seconds": 0}
    assert [{**r, **same} for r in own[1:]] == [{**r, **same} for r in whole[1:]]


def test_partitions_of_a_run_are_scored_together(kdb, samples) -> None:
    lines = (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True)
    argv = ("infer", "-", "--baseline", "all-pairs", "--window", 64)
    parts = [kdb(*argv, stdin=b"".join(part)).out for part in (lines[:30], lines[30:])]
    done = kdb("eval", "-", stdin=b"".join(parts))
    assert done.code == 0, done.stderr
    cut = b"".join(parts[1].splitlines(keepends=True)[:-1])
    assert "not whole" in kdb("eval", "-", stdin=parts[0] + cut).stderr


def test_a_session_learnt_from_is_answered_with_a_warning(kdb, samples, tmp_path) -> None:
    lines = (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True)
    known = tmp_path / "kb.jsonl"
    known.write_bytes(b"".join(line for line in lines if b'"split":"train"' in line))
    line = known.read_bytes().splitlines(keepends=True)[0]
    argv = ("infer", "-", "--baseline", "pair-classifier", "--kb", known)
    assert kdb(*argv, stdin=line).code == 1  # with the whole input at hand it is refused
    done = kdb(*argv, "--window", 1, stdin=line * 2)
    assert done.code == 0 and "no fair result: 1 of 1 sessions" in done.stderr
    assert [r["kind"] for r in done.records] == ["run", "prediction", "prediction", "end"]


def test_what_was_not_read_ahead_cannot_be_resumed(kdb, samples, tmp_path) -> None:
    done = kdb("infer", samples / "sessions.jsonl", "--baseline", "all-pairs", "--window", 1, "--resume", tmp_path)
    assert done.code == 2 and "--window has no effect with --resume" in done.stderr
