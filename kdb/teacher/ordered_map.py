"""Many things worked on at once by threads, handed on in the order in which they came, in bounded memory."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

from kdb.errors import KdbError
from kdb.teacher import Unanswered

T = TypeVar("T")
R = TypeVar("R")
Job = Callable[[], R]


def ordered_map(
    things: Iterable[T], job: Callable[[T], Job[R] | None], threads: int, window: int
) -> Iterator[tuple[T, R | None]]:
    """Each thing with what its job gave, None where there was none to do.

    At most `window` things are waiting or worked on at a time. What was begun before a bad line is finished and
    handed on; any other error of a job ends the rest at once.
    """
    waiting: deque[tuple[T, Future[R] | None]] = deque()
    failure: KdbError | None = None
    pool = _Threads(threads)

    def next_result() -> tuple[T, R | None]:
        thing, future = waiting.popleft()
        return thing, pool.result(future)

    try:
        try:
            for thing in things:
                work = job(thing)
                waiting.append((thing, pool.submit(work) if work else None))
                while waiting and (len(waiting) >= window or waiting[0][1] is None or waiting[0][1].done()):
                    yield next_result()
        except Unanswered:
            raise
        except KdbError as error:
            failure = error
        while waiting and not pool.failed.done():
            yield next_result()
        if pool.failed.done():
            pool.failed.result()
    finally:
        pool.close()
    if failure:
        raise failure


class _Threads:
    """Threads that an interrupted process does not wait for, unlike those of `concurrent.futures`."""

    def __init__(self, count: int) -> None:
        self.failed: Future[Any] = Future()
        """Done as soon as a job fails in a way that the other jobs would too."""
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Job[Any]] | None] = queue.SimpleQueue()
        self._count, self._started, self._closed = count, 0, False

    def submit(self, job: Job[R]) -> Future[R]:
        future: Future[R] = Future()
        self._jobs.put((future, job))
        if self._started < self._count:
            self._started += 1
            threading.Thread(target=self._work, daemon=True).start()
        return future

    def result(self, future: Future[R] | None) -> R | None:
        if future is None:
            return None
        wait((future, self.failed), return_when=FIRST_COMPLETED)
        result: R = (future if future.done() else self.failed).result()
        return result

    def close(self) -> None:
        """What has not begun is not begun any more."""
        self._closed = True
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (entry := self._jobs.get()) and not self._closed:
            future, job = entry
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, Unanswered) and not self.failed.done():
                    self.failed.set_exception(error)
