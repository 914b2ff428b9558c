"""Answers from the cache where they are there; what is not is asked for once, and kept before it is read."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from kdb import console
from kdb.errors import KdbError
from kdb.records import Usage
from kdb.teacher import Answer, Identity, Layer, Request, Teacher, sum_usage
from kdb.teacher.cache import AnswerCache


class CachedTeacher(Layer):
    """The same request is never in flight twice, in whatever thread or process."""

    def __init__(self, teacher: Teacher, cache: AnswerCache) -> None:
        super().__init__(teacher)
        self.cache = cache
        self.reused = self.truncated = 0
        self._taken: list[Usage] = []
        self._asking: dict[str, Future[Answer]] = {}
        self._broken: KdbError | None = None
        self._lock = threading.Lock()

    @property
    def usage(self) -> Usage:
        """See `Teacher`."""
        return sum_usage([*self._taken, self.teacher.usage])

    def ask(self, request: Request) -> Answer:
        """See `Teacher`; KdbError, to this request and all others, once an answer could not be kept."""
        if self._broken:
            raise self._broken
        key = request.key(self.identity)
        answer = self.cache.find(key, request.sampling.max_tokens)
        with self._lock:
            self.reused += answer is not None
        answer = answer or self._asked_once(key, request)
        with self._lock:
            self.truncated += answer.truncated
            self._taken.append(answer.usage)
        return answer

    def _asked_once(self, key: str, request: Request) -> Answer:
        with self._lock:
            other = self._asking.get(key)
            own = self._asking.setdefault(key, Future())
        if other:
            return other.result()
        try:
            own.set_result(self._asked(key, request))
        except BaseException as error:
            own.set_exception(error)
        finally:
            with self._lock:
                del self._asking[key]
        return own.result()

    def _asked(self, key: str, request: Request) -> Answer:
        with self.cache.claim(key):
            # Another process, or a thread that was just done, may have brought it since.
            if found := self.cache.find(key, request.sampling.max_tokens):
                return found
            before = self.identity
            answer = self.teacher.ask(request)
            if not answer.provisional:
                self._keep(request, answer, before)
            return answer

    def _keep(self, request: Request, answer: Answer, before: Identity) -> None:
        """Under the key by which it will be found: without what the server was seen to refuse meanwhile."""
        identity = self.identity
        try:
            self.cache.add(request.key(identity), identity, answer, request)
            if identity != before:
                self.cache.add_refused(identity)
        except KdbError as error:
            # What cannot be kept would be paid for again.
            self._broken = error
            raise

    def summary(self) -> list[str]:
        """See `Teacher`."""
        reused = [f"{self.reused} answers from the cache"] if self.reused else []
        return [*self.teacher.summary(), *reused]


def finish(teacher: Teacher, unanswered: int, asked: int) -> None:
    """Say what a run took, and raise where sessions are left without an answer."""
    if parts := teacher.summary():
        console.say(f"{teacher.identity.model}: {', '.join(parts)}")
    if cut := getattr(teacher, "truncated", 0):
        console.say(f"answers cut off at their limit: {cut}; a larger --max-tokens asks only those again")
    if unanswered:
        raise teacher.shortfall(f"{unanswered} of {asked} sessions have no answer")
