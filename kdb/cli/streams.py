"""The options that commands share: what is read, what is written, and what is said about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from kdb.errors import KdbError, UsageError
from kdb.io import stream
from kdb.io.stream import Line, Rejects
from kdb.records import Record

Paths = Annotated[
    list[Path] | None, Meta(description="Record files; '-' or none: stdin.", extra={"argument": True})
]
Output = Annotated[
    Path | None,
    Meta(description="Write here, whole or not at all.", extra={"flags": ("-o", "--output"), "default": "stdout"}),
]
Force = Annotated[bool, Meta(description="Overwrite the output.")]
RejectsFile = Annotated[Path | None, Meta(description="Put bad lines here and go on; the exit code is then 1.")]
Quiet = Annotated[bool, Meta(description="Print no messages and no progress.", extra={"flags": ("-q", "--quiet")})]
Debug = Annotated[bool, Meta(description="Show the traceback of an error.")]


@dataclass
class MessageOptions:
    """Of every command."""

    quiet: Quiet = False
    debug: Debug = False


@dataclass
class OutputOptions(MessageOptions):
    """Of a command that writes one file."""

    output: Output = None
    force: Force = False


@dataclass
class InputOptions(MessageOptions):
    """Of a command that reads records, from files that it has options of its own for."""

    rejects: RejectsFile = None

    def __post_init__(self) -> None:
        self.bad = Rejects(self.rejects)

    def read_files(self, paths: Sequence[Path], kinds: Collection[str]) -> Iterator[Line]:
        """The lines of these files, those of `kinds` validated."""
        return stream.read(paths, kinds, self.bad)

    def finish(self) -> None:
        """Exit 1 where lines were put aside."""
        if self.bad.count:
            raise KdbError(f"{self.bad.count} bad lines were put into {self.bad.path}")


@dataclass
class RecordOptions(InputOptions):
    """Of a command that reads a stream of records."""

    paths: Paths = None

    def read(self, *kinds: str) -> Iterator[Line]:
        """The input lines, those of `kinds` validated."""
        return self.read_files(self.paths or [], kinds)

    def refuse_shared_stdin(self) -> None:
        """UsageError where several processes would read one stdin."""
        if not self.paths or stream.STDIN in self.paths:
            raise UsageError("several processes cannot share stdin", "name the files to read")


@dataclass
class ImportOptions(InputOptions, OutputOptions):
    """Of a command that makes a stream of records."""

    def write(self, outgoing: Iterable[Line | Record | bytes]) -> None:
        """Write to the output; exit 1 where lines were put aside."""
        if self.output:
            self.bad.check(self.output)
        with stream.output(self.output, self.force) as file:
            stream.write(outgoing, file)
        self.finish()


@dataclass
class StreamOptions(RecordOptions, ImportOptions):
    """Of a command that maps one stream of records to another."""
