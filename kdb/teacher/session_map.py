"""Takes the sessions of a stream to a teacher: which are asked about, many at once, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from kdb import console
from kdb.records import Session
from kdb.stream import Line
from kdb.teacher import RequestFailed, Unanswered
from kdb.teacher.ordered_map import ordered_map

T = TypeVar("T")
Flow = Callable[[Session], Awaitable[T]]


@dataclass(frozen=True)
class SessionFilter:
    """Which sessions a teacher is asked about, and about how many at once.

    At most so many, and none of the test split unless allowed.
    """

    most: int | None = None
    allow_test: bool = False
    concurrency: int = 8

    def accepts(self, line: Line) -> bool:
        """Whether the line is an annotated training session; KdbError for a test session.

        What a teacher says of a test session, which it is shown with its truth, is no longer measured by it.
        """
        session = line.record
        if not isinstance(session, Session) or session.split == "validation":
            return False
        if session.split == "test" and not self.allow_test:
            raise line.error(
                f"session {session.id!r} is of the test split",
                "pass on only training sessions, or --allow-test to show it to the teacher all the same",
            )
        return bool(session.truth)


@dataclass
class SessionMap:
    """Counts the sessions that were asked about, and those left without an answer."""

    choice: SessionFilter
    sessions: int = 0
    unanswered: int = 0

    def __post_init__(self) -> None:
        # A session is asked about to its end before the next is begun: it has one request in flight at a time.
        self._slots = asyncio.Semaphore(self.choice.concurrency)

    def map(
        self, lines: Iterable[Line], flow: Flow[T], note: Callable[[], str] = str
    ) -> Iterator[tuple[Line, T | None]]:
        """All lines in order, each with what came of it; None where nothing was asked or answered.

        `note` stands beside the progress.
        """

        def work(line: Line) -> Coroutine[Any, Any, T | None] | None:
            full = self.choice.most is not None and self.sessions >= self.choice.most
            if not self.choice.accepts(line) or full:
                return None
            assert isinstance(line.record, Session)
            self.sessions += 1
            return self._attempt(flow, line.record)

        with console.progress() as bar:
            task = bar.add_task("sessions", total=self.choice.most, note="")
            # So many may be done and not yet written, for a slow session must not hold up the others.
            for line, result in ordered_map(lines, work, window=8 * self.choice.concurrency):
                yield line, result
                if result is not None:
                    bar.update(task, advance=1, note=note())

    async def _attempt(self, flow: Flow[T], session: Session) -> T | None:
        try:
            async with self._slots:
                return await flow(session)
        except Unanswered as error:
            self.unanswered += 1
            if isinstance(error, RequestFailed):
                console.say(f"session {session.id!r} has no answer: {error}")
            return None
