"""JSONL in and out: files, stdin and stdout, line by line, with errors that name the line.

A stage maps an iterator of lines to an iterator of lines and records. A `Line` that a stage hands on is
written byte for byte as it was read, so what a stage does not know passes through it untouched.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import jsonlines
import msgspec

from kdb import console, records
from kdb.errors import KdbError, UsageError
from kdb.io import files

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
        """This line with some fields set, or taken out (UNSET); KdbError where the rest does not fit."""
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

    def check(self, path: Path) -> None:
        """UsageError where lines would be put into a file that is read or written otherwise."""
        if self.path and path != STDIN and files.same_file(self.path, path):
            raise UsageError(f"--rejects {self.path}: the same file as {path}", "name another file")

    def add(self, place: str, message: str, line: str) -> None:
        """Put one line aside, or raise."""
        if self.path is None:
            raise KdbError(f"{place}: {message}")
        reject = {"kind": "reject", "place": place, "error": message, "line": line}
        with files.os_errors(self.path):
            # Lines are added one by one: several commands of a pipe may share the file.
            self._file = self._file or self.path.open("ab", buffering=0)
            self._file.write(msgspec.json.encode(reject) + b"\n")
        self.count += 1

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
    decoders = _decoders(kinds)
    for path in paths:
        rejects.check(path)
    for path in paths or [STDIN]:
        with _opened(path) as (name, file):
            yield from _lines(name, file, decoders, rejects)


def _decoders(kinds: Collection[str]) -> dict[str, msgspec.json.Decoder]:
    return {kind: msgspec.json.Decoder(records.KINDS[kind]) for kind in kinds}


def _lines(
    name: str, file: Iterable[bytes], decoders: dict[str, msgspec.json.Decoder], rejects: Rejects
) -> Iterator[Line]:
    number = 0

    def numbered() -> Iterator[bytes]:
        nonlocal number
        for line in file:
            number += 1
            yield line

    def loads(line: str | bytes) -> Line:
        text = (line.decode() if isinstance(line, bytes) else line).strip()
        return Line(text, *records.decode(text, decoders), name, number)

    reader = jsonlines.Reader(numbered(), loads=loads)
    while True:
        try:
            yield cast(Line, reader.read(skip_empty=True))
        except EOFError:
            return
        except jsonlines.InvalidLineError as error:
            bad = error.line.decode(errors="replace") if isinstance(error.line, bytes) else error.line
            cause = error.__cause__
            message = "not valid UTF-8" if isinstance(cause, UnicodeDecodeError) else str(cause)
            if "truncated" in message and not bad.endswith("\n"):
                message += "; the last line is cut short"
            rejects.add(f"{name}:{number}", message, bad.rstrip("\n"))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    if path == STDIN:
        if sys.stdin is None:
            raise KdbError("stdin is closed", "name the files to read")
        if sys.stdin.isatty():
            console.say("reading records from the terminal; end with Ctrl-D")
        yield "stdin", sys.stdin.buffer
        return
    with files.os_errors(path):
        file = path.open("rb")
    with file:
        yield str(path), file


def write(outgoing: Iterable[Line | records.Record | bytes], file: BinaryIO) -> int:
    """Write each as a line and flush it at once, so that a reader in the pipe sees it; their number.

    A `Line` is written as it came, a record as compact JSON. Bytes are whole lines already, without the last end.
    """
    count = 0
    for one in outgoing:
        try:
            file.write(encoded(one) + b"\n")
            file.flush()
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise KdbError(f"{str(file.name).strip('<>')}: {error.strerror}") from None
        count += 1
    return count


def encoded(one: Line | records.Record | bytes) -> bytes:
    """The line that `write` makes of it, without its end."""
    if isinstance(one, Line):
        return one.text.encode()
    return one if isinstance(one, bytes) else msgspec.json.encode(one)


@contextmanager
def output(path: Path | None, force: bool = False) -> Iterator[BinaryIO]:
    """The file to write to: stdout without a path, else by the rule of `kdb.io.files`."""
    if path is not None and path != STDIN:
        with files.atomic_file(path, force) as file:
            yield file
        return
    if sys.stdout is None:
        raise KdbError("stdout is closed", "pass --output FILE")
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


@contextmanager
def resume_output(path: Path) -> Iterator[tuple[BinaryIO, list[Line]]]:
    """The output of a stopped run, to go on with: the file to append to, and the whole lines it holds.

    Nothing changes before the first line is appended, or all is done: then a line that was cut short is removed.
    """
    with files.continued_file(path) as file:
        whole = [line for line in file if line.endswith(b"\n")]
        done = list(_lines(str(file.name), whole, _decoders(("run", "prediction")), Rejects()))
        appending = _Appending(file, sum(map(len, whole)))
        yield cast(BinaryIO, appending), done
        appending.write(b"")


class _Appending:
    """Writes to a file after its first `size` bytes, or where `seek` says, and removes the rest before."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._begun = file, size, False
        self.name, self.flush = file.name, file.flush

    def seek(self, size: int) -> int:
        self._size = size
        return size

    def write(self, data: bytes) -> int:
        if not self._begun:
            self._file.truncate(self._size)
            self._file.seek(self._size)
            self._begun = True
        return self._file.write(data)
