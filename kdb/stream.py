"""JSONL in and out: files, stdin and stdout, line by line, with errors that name the line.

A stage maps an iterator of lines to an iterator of lines and records. A `Line` that a stage hands on is
written byte for byte as it was read, so what a stage does not know passes through it untouched.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import jsonlines
import msgspec

from kdb import records
from kdb.errors import KdbError, UsageError

STDIN = Path("-")


@dataclass(slots=True)
class Line:
    """One line as it was read: its bytes, its place (`file:number`) and, for kinds asked for, its record."""

    text: str
    kind: str
    record: records.Record | None
    file: str = ""
    number: int = 0

    @property
    def place(self) -> str:
        """`file:line`, for messages."""
        return f"{self.file}:{self.number}"

    def error(self, message: str, hint: str = "") -> KdbError:
        """An error about this line."""
        return KdbError(f"{self.place}: {message}", hint)

    def with_fields(self, **fields: Any) -> Line:
        """This line with some fields set, all the others as they were; KdbError where that does not fit."""
        try:
            text, record = records.with_fields(self.text, records.KINDS[self.kind], self.kind, **fields)
        except ValueError as error:
            raise self.error(str(error)) from None
        return Line(text, self.kind, record, self.file, self.number)


@dataclass
class Rejects:
    """Where lines that do not fit go, if there is a path; without a path the first of them ends the run."""

    path: Path | None = None
    count: int = 0
    _file: BinaryIO | None = field(default=None, repr=False)

    def add(self, place: str, message: str, line: str) -> None:
        """Put one line aside, or raise."""
        if self.path is None:
            raise KdbError(f"{place}: {message}")
        self._file = self._file or self.path.open("wb")
        self.count += 1
        reject = {"kind": "reject", "place": place, "error": message, "line": line}
        self._file.write(msgspec.json.encode(reject) + b"\n")
        self._file.flush()

    def add_line(self, line: Line, error: KdbError) -> None:
        """Put the line aside that an error is about, or raise the error."""
        if self.path is None:
            raise error
        self.add(line.place, str(error).removeprefix(f"{line.place}: "), line.text)


def read(paths: Sequence[Path], kinds: Collection[str] = (), rejects: Rejects | None = None) -> Iterator[Line]:
    """The lines of all files in turn (`-` or none: stdin), those of `kinds` decoded and validated.

    A line that is not a JSON object with a `kind`, or does not fit its kind, raises KdbError with
    `file:line: field` or goes to `rejects`. Blank lines are skipped. Memory does not grow with the input.
    """
    rejects = rejects or Rejects()
    decoders = {kind: msgspec.json.Decoder(records.KINDS[kind]) for kind in kinds}
    for path in paths or [STDIN]:
        with _opened(path) as (name, file):
            yield from _lines(name, file, decoders, rejects)


def _lines(
    name: str, file: BinaryIO, decoders: dict[str, msgspec.json.Decoder], rejects: Rejects
) -> Iterator[Line]:
    number = 0

    def numbered() -> Iterator[bytes]:
        nonlocal number
        for line in file:
            number += 1
            yield line

    def loads(line: str | bytes) -> Line:
        text = (line.decode() if isinstance(line, bytes) else line).strip()
        return Line(text, *records.decode(text, decoders))

    reader = jsonlines.Reader(numbered(), loads=loads)
    while True:
        try:
            line = cast(Line, reader.read(skip_empty=True))
        except EOFError:
            return
        except jsonlines.InvalidLineError as error:
            bad = error.line.decode(errors="replace") if isinstance(error.line, bytes) else error.line
            cause = error.__cause__
            message = "not valid UTF-8" if isinstance(cause, UnicodeDecodeError) else str(cause)
            if "truncated" in message and not bad.endswith("\n"):
                message += "; the last line is cut short"
            rejects.add(f"{name}:{number}", message, bad.rstrip("\n"))
            continue
        line.file, line.number = name, number
        yield line


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    if path == STDIN:
        if sys.stdin.isatty():
            print("kdb: reading records from the terminal; end with Ctrl-D", file=sys.stderr)
        yield "stdin", sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise KdbError(f"{path}: {error.strerror}") from None
    with file:
        yield str(path), file


def encode(outgoing: Line | records.Record | dict[str, Any] | bytes) -> bytes:
    """The bytes of one line, without its end: a `Line` as it came, a record as compact JSON.

    Bytes are one or more whole lines already, without the last end.
    """
    if isinstance(outgoing, bytes):
        return outgoing
    if isinstance(outgoing, Line):
        return outgoing.text.encode()
    return msgspec.json.encode(outgoing)


def write(outgoing: Iterable[Line | records.Record | bytes], file: BinaryIO) -> int:
    """Write each as a line and flush it at once, so that a reader in the pipe sees it; their number."""
    count = 0
    writer = jsonlines.Writer(file, dumps=encode, flush=True)
    for record in outgoing:
        writer.write(record)
        count += 1
    return count


@contextmanager
def output(path: Path | None, force: bool = False) -> Iterator[BinaryIO]:
    """The file to write to: stdout without a path, else `PATH.part`, renamed to `PATH` once all is written.

    A run that fails leaves what it had written in `PATH.part`. An existing file needs `force`.
    """
    if path is None or path == STDIN:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if path.exists() and not force:
        raise UsageError(f"{path} exists", "name another file or pass --force")
    part = path.with_name(path.name + ".part")
    try:
        file = part.open("wb")
    except OSError as error:
        raise KdbError(f"{part}: {error.strerror}") from None
    with file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


@contextmanager
def output_folder(path: Path, force: bool = False) -> Iterator[Path]:
    """The folder to write into: `PATH.part`, empty, renamed to `PATH` at the end; an existing one needs `force`."""
    if path.exists() and not force:
        raise UsageError(f"{path} exists", "name another folder or pass --force")
    part = path.with_name(path.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    if path.exists():
        shutil.rmtree(path)
    part.replace(path)


@contextmanager
def resume_output(path: Path) -> Iterator[tuple[BinaryIO, list[Line]]]:
    """The output of a stopped run, to go on with: the file to append to, and the whole lines it holds.

    Reads `PATH.part` where there is one, which becomes PATH once all is written. A line that was cut
    short is removed.
    """
    part = path.with_name(path.name + ".part")
    source = part if part.exists() else path
    try:
        file = source.open("r+b")
    except OSError as error:
        raise KdbError(f"{source}: {error.strerror}") from None
    with file:
        whole = 0
        for line in file:
            whole += len(line) if line.endswith(b"\n") else 0
        file.truncate(whole)
        done = list(read([source], ("run", "prediction")))
        file.seek(whole)
        yield file, done
        file.flush()
        os.fsync(file.fileno())
    if source == part:
        part.replace(path)
