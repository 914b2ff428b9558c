"""Many lines worked on at once, handed on in the order in which they came, in bounded memory."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from kdb.errors import KdbError
from kdb.stream import Line

T = TypeVar("T")
Work = Callable[[Line], Coroutine[Any, Any, T | None] | None]


def ordered_map(lines: Iterable[Line], work: Work[T], window: int) -> Iterator[tuple[Line, T | None]]:
    """Each line with what the work on it gave, None where there was none to do.

    At most `window` lines are waiting or worked on at a time. The work runs in an event loop of its own, so
    that reading a slow pipe never holds it up. What was begun before a bad line is finished and handed on.
    """
    waiting: deque[tuple[Line, Future[T | None] | None]] = deque()
    failure: KdbError | None = None
    with _event_loop() as loop:
        try:
            for line in lines:
                task = work(line)
                waiting.append((line, asyncio.run_coroutine_threadsafe(task, loop) if task else None))
                while waiting and (len(waiting) >= window or _done(waiting[0][1])):
                    yield _next(waiting)
        except KdbError as error:
            failure = error
        while waiting:
            yield _next(waiting)
    if failure:
        raise failure


def _done(task: Future[Any] | None) -> bool:
    return task is None or task.done()


def _next(waiting: deque[tuple[Line, Future[T | None] | None]]) -> tuple[Line, T | None]:
    line, task = waiting[0]
    result = task.result() if task else None
    waiting.popleft()
    return line, result


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread; what still runs in it at the end is cancelled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_cancel_all())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
