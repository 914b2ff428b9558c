"""What all commands share: the stream options, and how an error becomes one line and an exit code."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from kdb import console, stream
from kdb.errors import KdbError, UsageError
from kdb.records import Record
from kdb.stream import Line, Rejects

BROKEN_PIPE, INTERRUPTED = 141, 130

Paths = Annotated[list[Path] | None, typer.Argument(help="Record files; '-' or none: stdin.", show_default=False)]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Write here instead of stdout; complete or not there at all."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the output.")]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Put bad lines aside and go on; the exit code is then 1.")
]
RejectsFile = Annotated[Path, typer.Option("--rejects", help="Where --keep-going puts bad lines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No messages and no progress on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass
class Streams:
    """The shared options of a command that maps a record stream."""

    paths: list[Path] | None = None
    output: Path | None = None
    force: bool = False
    keep_going: bool = False
    rejects: Path = Path("rejects.jsonl")
    quiet: bool = False
    debug: bool = False

    def __post_init__(self) -> None:
        self.bad = Rejects(self.rejects if self.keep_going else None)

    def read(self, *kinds: str) -> Iterator[Line]:
        """The input lines, those of `kinds` validated."""
        return self.read_files(self.paths or [], kinds)

    def read_files(self, paths: list[Path], kinds: Collection[str]) -> Iterator[Line]:
        """The lines of other files, under the same handling of bad lines."""
        return stream.read(paths, kinds, self.bad)

    def write(self, outgoing: Iterable[Line | Record | bytes]) -> None:
        """Write to the output; exit 1 where lines were put aside."""
        with stream.output(self.output, self.force) as file:
            stream.write(outgoing, file)
        self.finish()

    def finish(self) -> None:
        """Exit 1 where lines were put aside."""
        if self.bad.count:
            raise KdbError(f"{self.bad.count} bad lines were put into {self.bad.path}")


STREAM_OPTIONS: dict[str, Any] = {
    "paths": Paths,
    "output": Output,
    "force": Force,
    "keep_going": KeepGoing,
    "rejects": RejectsFile,
    "quiet": Quiet,
    "debug": Debug,
}


def with_streams(*, without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command whose first parameter is `streams: Streams` the stream options, and guard it.

    `without` names options to leave out, for a command that reads or writes something else.
    """
    options = {name: kind for name, kind in STREAM_OPTIONS.items() if name not in without}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command).parameters.values())[1:]
        shared = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=getattr(Streams, name),
                annotation=kind,
            )
            for name, kind in options.items()
        ]
        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]

        @functools.wraps(command)
        def guarded(**values: Any) -> None:
            streams = Streams(**{name: values.pop(name) for name in options})
            console.quiet = streams.quiet
            with guard(streams.debug):
                command(streams, **values)

        guarded.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        guarded.__annotations__ = {p.name: p.annotation for p in [*own, *shared]}
        del guarded.__wrapped__
        return guarded

    return decorate


@contextmanager
def guard(debug: bool = False) -> Iterator[None]:
    """Turn what went wrong into one line on stderr and an exit code: 1 data or run, 2 usage, 130, 141."""
    try:
        yield
    except KdbError as error:
        if debug:
            raise
        if not (console.process and isinstance(error, UsageError)):  # the first process was called the same way
            console.fail(str(error))
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:
        # The final flush of the interpreter would fail again: give it somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(BROKEN_PIPE) from None
    except OSError as error:  # a full disk, a folder that may not be written
        if debug:
            raise
        console.fail(str(error).partition("\n")[0])
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.fail("interrupted")
        raise typer.Exit(INTERRUPTED) from None
