"""What every request passes through: the cache, the budget, the pace, and the sums of tokens and money."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import structs

from kdb import console
from kdb.errors import KdbError
from kdb.records import Usage
from kdb.teacher import Answer, Request, Teacher, TeacherUnavailable, Unanswered
from kdb.teacher.batch import RequestFile
from kdb.teacher.cache import AnswerCache
from kdb.teacher.prices import Price
from kdb.teacher.rate_limiter import RateLimiter

FAILURES_IN_ROW = 10
"""After so many requests without an answer, and none with one between them, the teacher is given up."""


class TeacherClient(Protocol):
    """What a stage asks: a metered client, or an estimate that only counts."""

    model: str

    async def ask(self, request: Request) -> Answer:
        """The answer to a request; Unanswered where there is none."""


@dataclass
class Limits:
    """Where to stop: so many dollars spent, so many requests sent by this run."""

    budget: float | None = None
    max_requests: int | None = None


@dataclass
class MeteredClient:
    """One run's dealings with one teacher.

    With `batch_out`, what is not in the cache goes into that file and the teacher is not asked.
    """

    teacher: Teacher
    cache: AnswerCache
    price: Price | None = None
    limits: Limits = field(default_factory=Limits)
    rate_limiter: RateLimiter = field(default_factory=RateLimiter)
    batch_out: RequestFile | None = None

    def __post_init__(self) -> None:
        self.model = self.teacher.model
        self.counts: Counter[str] = Counter()
        self.spent = 0.0
        self.stopped: TeacherUnavailable | None = None
        self._failures = 0
        self._asking: dict[str, asyncio.Future[Answer]] = {}

    async def ask(self, request: Request) -> Answer:
        """The answer, from the cache if it is there; the same request is never in flight twice."""
        key = request.key(self.model)
        if stored := self.cache.find(key, request.sampling.max_tokens):
            self.counts["reused"] += 1
            return self._counted(stored)
        if self.batch_out:
            self.batch_out.add(key, request)
            raise Unanswered("not asked yet")
        if key not in self._asking:
            self._asking[key] = asyncio.ensure_future(self._send(key, request))
        try:
            return self._counted(await asyncio.shield(self._asking[key]))
        finally:
            self._asking.pop(key, None)

    async def _send(self, key: str, request: Request) -> Answer:
        self._check()
        await self.rate_limiter.acquire(request.prompt_tokens + request.sampling.max_tokens)
        self._check()  # the budget may be spent since
        self.counts["sent"] += 1
        try:
            answer = await self.teacher.ask(request)
        except Unanswered as error:
            self._failed(error)
            raise
        self._failures = 0
        answer = self._priced(answer)
        self.cache.add(key, self.model, answer, request)
        return answer

    def _check(self) -> None:
        """TeacherUnavailable where this run is to send no more."""
        budget, most = self.limits.budget, self.limits.max_requests
        if budget is not None and self.spent >= budget:
            self._stop(
                TeacherUnavailable(f"the budget of ${budget:g} is spent", "run again with a larger --budget")
            )
        if most is not None and self.counts["sent"] >= most:
            self._stop(TeacherUnavailable(f"--max-requests {most} is reached", "run again"))
        if self.stopped:
            raise self.stopped

    def _stop(self, reason: TeacherUnavailable) -> None:
        self.stopped = self.stopped or reason

    def _failed(self, error: Unanswered) -> None:
        self.counts["failed"] += 1
        self._failures += 1
        if isinstance(error, TeacherUnavailable):
            self._stop(error)
        elif self._failures >= FAILURES_IN_ROW:
            self._stop(
                TeacherUnavailable(f"{self._failures} requests in a row got no answer, the last: {error.message}")
            )

    def _priced(self, answer: Answer) -> Answer:
        usage = answer.usage
        self.counts["prompt tokens"] += usage.prompt_tokens
        self.counts["completion tokens"] += usage.completion_tokens
        if self.price is None:
            return answer
        cost = self.price.cost(usage)
        self.spent += cost
        return structs.replace(answer, usage=structs.replace(usage, cost=cost))

    def _counted(self, answer: Answer) -> Answer:
        self.counts["truncated"] += answer.truncated
        return answer

    def summary(self) -> str:
        """What this run sent and what that cost, in words."""
        counts = self.counts
        parts = [f"{counts['sent']} requests sent"]
        if counts["sent"]:
            parts.append(f"{counts['prompt tokens']:,} + {counts['completion tokens']:,} tokens")
            parts.append("no price known" if self.price is None else f"${self.spent:.4f}")
        if counts["reused"]:
            parts.append(f"{counts['reused']} answers from the cache")
        if counts["failed"]:
            parts.append(f"{counts['failed']} failed")
        return ", ".join(parts)

    def finish(self, unanswered: int, sessions: int) -> None:
        """Say what this run took, and raise where sessions are left without an answer."""
        console.say(f"{self.model}: {self.summary()}")
        if cut := self.counts["truncated"]:
            console.say(f"answers cut off at their limit: {cut}; a larger --max-tokens asks only those again")
        if unanswered:
            raise self._shortfall(f"{unanswered} of {sessions} sessions have no answer")

    def _shortfall(self, what: str) -> KdbError:
        again = "run again: what was answered is not asked again"
        if self.batch_out:
            hint = "have them answered, then run again with --batch-in RESULTS"
            return KdbError(f"{what} yet: {self.batch_out.close()} requests are in {self.batch_out.path}", hint)
        if self.stopped:
            hint = f"{self.stopped.hint}; what was answered is not asked again" if self.stopped.hint else again
            return KdbError(f"{self.stopped.message}: {what}", hint)
        return KdbError(what, again)


def total(answers: list[Answer]) -> Usage:
    """The tokens and the money of several answers together."""
    costs = [answer.usage.cost for answer in answers if answer.usage.cost is not None]
    return Usage(
        sum(answer.usage.prompt_tokens for answer in answers),
        sum(answer.usage.completion_tokens for answer in answers),
        round(sum(costs), 8) if costs else None,
    )
