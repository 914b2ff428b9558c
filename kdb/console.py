"""What people read: messages and progress on stderr. Nothing here ever writes to stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

quiet = False
"""Set once by the command line (`--quiet`)."""
process = 0
"""The number of this process in a run of several, of which only the first says how the run goes."""


def say(message: str) -> None:
    """One line on stderr for a person, left out under `--quiet`."""
    if not quiet and not process:
        print(f"kdb: {message}", file=sys.stderr)


def warn(message: str) -> None:
    """One line on stderr that `--quiet` does not silence, because a result depends on it."""
    if not process:
        print(f"kdb: {message}", file=sys.stderr)


def fail(message: str) -> None:
    """One line on stderr on why this process ends."""
    print(f"kdb: process {process}: {message}" if process else f"kdb: {message}", file=sys.stderr)


def progress() -> Progress:
    """A Rich progress display on stderr, silent where stderr is not a terminal or under `--quiet`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    off = quiet or process > 0 or not sys.stderr.isatty()
    return Progress(*columns, console=Console(stderr=True), disable=off, transient=True)


def track(things: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """The things one by one, with a progress bar on a terminal."""
    with progress() as bar:
        task = bar.add_task(label, total=total, note="")
        for thing in things:
            yield thing
            bar.advance(task)
