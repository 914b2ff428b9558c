"""Hostile streams: whatever a line holds, a command ends in records, in rejects, or in a few words.

Records of every kind, valid ones of the samples and of version 1 among them, are damaged: a value by another one, a
field by none, a line by its bytes. `KDB_HOSTILE_EXAMPLES=2000` tries as many as that; a test run tries a few.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.command_line import ROOT, SAMPLES, run_kdb

EXAMPLES = int(os.environ.get("KDB_HOSTILE_EXAMPLES", "120"))

V1 = ROOT / "tests" / "data" / "v1"
COMMANDS = {
    "import": ("import", "--format", "jsonl"),
    "pattern": ("extract", "pattern"),
    "rule": ("extract", "rule", "--teacher", "annotations"),
    "thought": ("extract", "thought", "--teacher", "annotations"),
    "random": ("select", "--amount", "0.5"),
    "length": ("select", "--strategy", "length", "--of", "knowledge"),
    "difficulty": ("select", "--strategy", "difficulty", "--prefer", "spread"),
    "whole-session": ("infer", "--baseline", "whole-session"),
    "all-pairs": ("infer", "--baseline", "all-pairs"),
    "pattern-matching": ("infer", "--baseline", "pattern-matching", "--kb", "known.jsonl"),
    "eval": ("eval", "--format", "records"),
    "collect": ("collect",),
    "why": ("why", "1", "--run", "-"),
    "sheet": ("export", "--sheet", "sheet.csv", "--force"),
    "prompts": ("prompts", "show", "thought"),
    "report": ("report", "-o", "report", "--force"),
}
PASSING_ON = ("pattern", "whole-session", "all-pairs", "pattern-matching")
"""Commands that write a line for each line that they read, and `run`, `end` or patterns beside them."""


def valid_lines() -> list[bytes]:
    """A few lines of each kind of record."""
    lines: dict[str, list[bytes]] = {}
    for file in (SAMPLES / "sessions.jsonl", *sorted(V1.glob("*.jsonl"))):
        for line in file.read_bytes().splitlines():
            record = msgspec.json.decode(line)
            lines.setdefault(f"{record['kind']} {record.get('format')} {file.stem}", []).append(line)
    return [line for own in lines.values() for line in own[:3]]


VALID = valid_lines()
assert {msgspec.json.decode(line)["kind"] for line in VALID} >= {
    "session",
    "knowledge",
    "prediction",
    "metric",
    "run",
}

HOSTILE: list[Any] = [
    None, True, 0, -1, 2**63, 2**70, 1e308, -0.5, "", " ", "nan", "-", "../../etc/passwd", "\x1b[2J\x07", "\u202ex",
    "\x00", "a\nb", "x" * 20_000, "<|im_end|>", "$title", "%s", "机", [], {}, [[]], [None],
    {"": None}, [["a", ["b"]]], "session", "prediction", "test", "train",
]  # fmt: skip
NO_RECORD = [b"", b"  ", b"\xef\xbb\xbf{}", b"[]", b"null", b'{"kind": 1}', b"\xff\xfe", b"{" * 2000]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, own in inner for place in places(own, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> None:
    for key in path[:-1]:
        value = value[key]
    change(value, path[-1])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A line: as it was, with some values or fields changed, or with bytes that are no record at all."""
    line = draw(st.sampled_from(VALID))
    how = draw(st.sampled_from(["whole"] * 3 + ["value"] * 5 + ["less"] * 3 + ["bytes", "cut", "other"]))
    if how == "whole":
        return line
    if how == "bytes":
        at = draw(st.integers(0, len(line) - 1))
        return line[:at] + draw(st.binary(max_size=4)).replace(b"\n", b" ") + line[at + 1 :]
    if how == "cut":
        return line[: draw(st.integers(0, len(line)))]
    if how == "other":
        return draw(
            st.sampled_from(
                [b"", b"  ", b"\xef\xbb\xbf{}", b"[]", b"null", b'{"kind": 1}', b"\xff\xfe", b"{" * 2000]
            )
        )
    record = msgspec.json.decode(line)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(record)[1:] or [("kind",)]))
        if how == "less":
            changed(record, path, lambda owner, key: owner.pop(key))
        else:
            hostile = draw(st.sampled_from(HOSTILE))
            changed(record, path, lambda owner, key, hostile=hostile: owner.__setitem__(key, hostile))
    try:
        return msgspec.json.encode(record)
    except (TypeError, ValueError, OverflowError):
        return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "known.jsonl").write_bytes(
        b"".join(line + b"\n" for line in (V1 / "kb.jsonl").read_bytes().splitlines())
    )
    return folder


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(name=st.sampled_from(sorted(COMMANDS)), lines=st.lists(damaged(), max_size=8), aside=st.booleans())
def test_any_stream_ends_in_records_rejects_or_a_few_words(
    folder: Path, name: str, lines: list[bytes], aside: bool
) -> None:
    rejects = folder / "rejects.jsonl"
    rejects.unlink(missing_ok=True)
    argv = [*COMMANDS[name], *(["--rejects", "rejects.jsonl"] if aside else [])]
    done = run_kdb(*argv, stdin=b"".join(line + b"\n" for line in lines), cwd=folder)  # raises what is not caught

    assert done.code in (0, 1, 2), done.stderr
    assert "unexpected" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert done.code == 0 or done.stderr.splitlines()[-1].startswith("kdb: ")
    words = [line for line in done.stderr.splitlines() if not re.match(r"kdb: [^:]*: .*(session|pattern)", line)]
    assert len(words) <= 3, done.stderr
    assert not set("\x1b\x07\x00") & set(done.stderr)
    if name not in ("why", "prompts"):
        for line in done.out.splitlines():
            assert isinstance(msgspec.json.decode(line), dict)
    else:
        assert not set("\x1b\x07\x00") & set(done.stdout)

    put_aside = rejects.read_bytes().splitlines() if rejects.exists() else []
    read = [line for line in lines if line.strip()]
    assert all(msgspec.json.decode(line)["kind"] == "reject" for line in put_aside)
    if name in PASSING_ON and (done.code == 0 or f"kdb: {len(put_aside)} bad lines were put into" in done.stderr):
        written = [line for line in done.out.splitlines() if line]
        own = sum(msgspec.json.decode(line)["kind"] == "end" for line in written)
        if name == "pattern":
            assert len(written) >= len(read) - len(put_aside)
            assert set(written) >= {line.strip() for line in read if line in VALID}
        else:
            assert len(written) - 2 == len(read) - len(put_aside) and own >= 1
