"""What people read: messages and progress on stderr by `logging`, and text and tables on stdout.

Nothing that is shown can steer a terminal, whatever ids, titles or names of files hold.
"""

from __future__ import annotations

import logging
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")

_JOINERS = "\u200c\u200d"  # in words of some scripts, and in emoji

_log = logging.getLogger("kdb")


class _Stderr(logging.Handler):
    """One line a message, on whatever stderr is then; on none where it is closed."""

    process = 0

    def emit(self, record: logging.LogRecord) -> None:
        where = f"process {self.process}: " if self.process else ""
        if sys.stderr is not None:
            print(f"kdb: {where}{' '.join(printable(record.getMessage()).split())}", file=sys.stderr)


_handler = _Stderr()
_log.addHandler(_handler)
_log.setLevel(logging.INFO)
_log.propagate = False


def configure(quiet: bool = False, process: int = 0) -> None:
    """Set how much is said: no messages if `quiet`, and of several processes all but the first only say errors."""
    _handler.process = process
    _log.setLevel(logging.ERROR if process else logging.WARNING if quiet else logging.INFO)


def is_first() -> bool:
    """Whether this is the only process, or the first of several."""
    return not _handler.process


def say(message: str) -> None:
    """One line on stderr for a person, left out under `--quiet`."""
    _log.info("%s", message)


def warn(message: str) -> None:
    """One line on stderr that `--quiet` does not silence, because a result depends on it."""
    _log.warning("%s", message)


def fail(message: str) -> None:
    """One line on stderr on why this process ends."""
    _log.error("%s", message)


def show(text: str) -> None:
    """Text on stdout for a person."""
    print(printable(text))


def printable(text: str) -> str:
    """The text with a question mark for each character that could steer a terminal or hide others."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n" + _JOINERS else _visible(c) for c in text)


def _visible(character: str) -> str:
    return " " if character == "\t" or unicodedata.category(character) == "Zs" else "?"


def tables() -> Console:
    """A Rich console on stdout, for tables and styled text."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class PrintableConsole(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(printable(segment.text), segment.style)

    return PrintableConsole(markup=False, highlight=False, emoji=False)


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
    off = not _log.isEnabledFor(logging.INFO) or sys.stderr is None or not sys.stderr.isatty()
    return Progress(*columns, console=Console(stderr=True), disable=off, transient=True)


def track(things: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """The things one by one, with a progress bar on a terminal."""
    with progress() as bar:
        task = bar.add_task(label, total=total, note="")
        for thing in things:
            yield thing
            bar.advance(task)
