"""How whatever goes wrong becomes one line on stderr and an exit code."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from kdb import console
from kdb.errors import KdbError, UsageError

FAILURE, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141


@contextmanager
def guard(debug: bool = False) -> Iterator[None]:
    """Run a command: 0 done, 1 data or run, 2 usage, 130 interrupted, 141 the reader of stdout closed it."""
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError, KdbError, OSError) as error:
        if debug and not isinstance(error, KeyboardInterrupt | BrokenPipeError):
            raise
        raise typer.Exit(_report(error)) from None


def _report(error: BaseException) -> int:
    if isinstance(error, BrokenPipeError):
        # The final flush of the interpreter would fail again: give it somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt):
        console.fail("interrupted")
        return INTERRUPTED
    if isinstance(error, KdbError):
        if not (console.process and isinstance(error, UsageError)):  # the first process was called the same way
            console.fail(str(error))
        return error.exit_code
    console.fail(str(error).partition("\n")[0])  # OSError: a full disk, a folder that may not be written
    return FAILURE
