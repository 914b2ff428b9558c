"""Sends again what failed and may succeed: with growing pauses, or when the server says; then gives up."""

from __future__ import annotations

import threading
import time
from collections import Counter

from kdb.errors import KdbError
from kdb.teacher import (
    Answer,
    Layer,
    NotAnAnswer,
    ParameterRefused,
    Request,
    RequestFailed,
    RequestInvalid,
    TeacherUnavailable,
)
from kdb.teacher.metered import MeteredTeacher

FAILURES_IN_ROW = 10
"""After so many requests without an answer, and none with one between them, the teacher is given up."""
LONGEST_PAUSE, LONGEST_WAIT = 8.0, 120.0
"""Seconds between two tries: by our own count, and by what a server asks for."""


class RetryingTeacher(Layer):
    """Tries `retries` times more; counts replies that were no answer, by reason, with a quote of each."""

    def __init__(self, teacher: MeteredTeacher, retries: int) -> None:
        super().__init__(teacher)
        self.metered, self.retries = teacher, retries
        self.failed = 0
        self.no_answers: Counter[str] = Counter()
        self._quotes: dict[str, str] = {}
        self._in_row = 0
        self._lock = threading.Lock()

    def ask(self, request: Request) -> Answer:
        """See `Teacher`."""
        tries = 0
        while True:
            try:
                answer = self.teacher.ask(request)
            except ParameterRefused:
                continue
            except RequestFailed as error:
                self._note(error)
                if tries == self.retries or isinstance(error, RequestInvalid):
                    raise self._given_up(error) from None
                tries += 1
                pause = min(0.25 * 2**tries, LONGEST_PAUSE)
                time.sleep(pause if error.retry_after is None else min(error.retry_after, LONGEST_WAIT))
            else:
                self._in_row = 0
                return answer

    def summary(self) -> list[str]:
        """See `Teacher`."""
        parts = self.teacher.summary()
        if self.no_answers:
            each = (f"{why} {n} x{self._quotes.get(why, '')}" for why, n in sorted(self.no_answers.items()))
            parts.append(f"{self.no_answers.total()} replies were no answer ({', '.join(each)})")
        return parts + ([f"{self.failed} failed"] if self.failed else [])

    def _note(self, error: RequestFailed) -> None:
        if isinstance(error, NotAnAnswer):
            with self._lock:
                self.no_answers[error.reason] += 1
                if error.said:
                    self._quotes.setdefault(error.reason, f': "{error.said[:60]}"')

    def _given_up(self, error: RequestFailed) -> KdbError:
        with self._lock:
            self.failed += 1
            self._in_row += 1
            in_row = self._in_row
        if error.unavailable:
            self.metered.stop(TeacherUnavailable(error.message, error.hint))
        elif in_row >= FAILURES_IN_ROW:
            self.metered.stop(
                TeacherUnavailable(f"{in_row} requests in a row got no answer, the last: {error.message}")
            )
        return TeacherUnavailable(error.message, error.hint) if error.unavailable else error
