"""How whatever goes wrong becomes one line on stderr and an exit code."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer

from kdb import console
from kdb.errors import KdbError, UsageError

FAILURE, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141

_OfTyper = (typer.Exit, typer.Abort, typer.BadParameter.__base__)


@contextmanager
def guard(debug: bool = False) -> Iterator[None]:
    """Run a command: 0 done, 1 data or run, 2 usage, 130 interrupted, 141 the reader of stdout closed it."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a full disk is one line
    except _OfTyper:  # type: ignore[misc]
        raise
    except (Exception, KeyboardInterrupt) as error:
        _drop_output()
        if debug and not isinstance(error, KeyboardInterrupt | BrokenPipeError):
            raise
        raise typer.Exit(_report(error)) from None


def _report(error: BaseException) -> int:
    """Say in one line what went wrong, and return the exit code."""
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt):
        console.fail("interrupted")
        return INTERRUPTED
    if isinstance(error, KdbError):
        if console.is_first() or not isinstance(error, UsageError):  # the first was called the same way
            console.fail(str(error))
        return error.exit_code
    if isinstance(error, OSError):
        console.fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
        return FAILURE
    text = next(iter(str(error).splitlines()), "")
    console.fail(f"unexpected {type(error).__name__}{': ' if text else ''}{text} (--debug shows more)")
    return FAILURE


def _drop_output() -> None:
    """Where stdout takes no more, give it somewhere to write: the interpreter flushes it once more at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def prepare_streams() -> None:
    """Make standard streams safe: a closed one is no file that is opened later, and no character is too odd."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
