"""Limits and prices: what is sent is counted, and paid for out of a budget that holds at any concurrency.

Every request that is sent passes here, those that are sent again too. What a request is expected to cost is
reserved before it is sent, and settled when its reply has come.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from msgspec import structs

from kdb import console
from kdb.errors import KdbError
from kdb.records import Usage
from kdb.teacher import Answer, Layer, Request, RequestFailed, Teacher, TeacherUnavailable, sum_usage
from kdb.teacher.prices import Prices
from kdb.teacher.rate_limiter import RateLimiter

ROUNDING = 1e-12


@dataclass(frozen=True)
class Limits:
    """Where to stop: so many dollars spent, so many requests sent by this run."""

    budget: float | None = None
    max_requests: int | None = None


class MeteredTeacher(Layer):
    """Counts what a teacher is sent and what that costs."""

    def __init__(
        self,
        teacher: Teacher,
        prices: Prices,
        limits: Limits | None = None,
        rate_limiter: RateLimiter | None = None,
    ) -> None:
        super().__init__(teacher)
        self.prices = prices
        self.limits, self.rate_limiter = limits or Limits(), rate_limiter or RateLimiter()
        self.counts: Counter[str] = Counter()
        self.spent = self.reserved = 0.0
        self._lost = Usage()
        self.stopped: TeacherUnavailable | None = None
        self._settled = threading.Condition()
        self._expected = _Expected()
        self._other_models: set[str] = set()

    def ask(self, request: Request) -> Answer:
        """See `Teacher`; TeacherUnavailable where this run is to send no more."""
        expected = self._reserve(request)
        used: Usage | None = None
        try:
            self.rate_limiter.acquire(request.prompt_tokens + request.sampling.max_tokens)
            answer = self.teacher.ask(request)
            used = self._priced(answer.usage, answer.model)
            self._expected.learn(request, answer.usage)
        except RequestFailed as error:
            if error.usage or error.billed:
                used = self._priced(error.usage) if error.usage else expected
                self._add(estimated=error.usage is None, lost=used)
            raise
        except TeacherUnavailable as error:
            self.stop(error)
            raise
        finally:
            self._settle(expected, used)
        self._add(estimated=answer.estimated)
        self._check_model(answer.model)
        return structs.replace(answer, usage=used)

    def stop(self, reason: TeacherUnavailable) -> None:
        """Send no more, for this reason."""
        with self._settled:
            self._stop(reason)

    def _stop(self, reason: TeacherUnavailable) -> None:
        """As `stop`, by one who holds the lock."""
        self.stopped = self.stopped or reason
        self._settled.notify_all()

    @property
    def usage(self) -> Usage:
        """What was paid for no answer."""
        return self._lost

    def summary(self) -> list[str]:
        """See `Teacher`."""
        counts = self.counts
        parts = [f"{counts['sent']} requests sent"]
        if counts["sent"]:
            priced = self.prices.find(self.identity.model) or self.spent
            parts.append(f"{counts['prompt']:,} + {counts['completion']:,} tokens")
            parts.append(f"${self.spent:.4f}" if priced else "no price known")
        if counts["estimated"]:
            parts.append(f"the usage of {counts['estimated']} is an estimate, for the server counted nothing")
        return [*parts, *self.teacher.summary()]

    def shortfall(self, what: str) -> KdbError:
        """See `Teacher`."""
        if self.stopped:
            again = "what was answered is not asked again"
            hint = f"{self.stopped.hint}; {again}" if self.stopped.hint else f"run again: {again}"
            return KdbError(f"{self.stopped.message}: {what}", hint)
        return self.teacher.shortfall(what)

    def _reserve(self, request: Request) -> Usage:
        """Take the money for one request out of the budget, once what is in flight leaves enough of it."""
        budget, most = self.limits.budget, self.limits.max_requests
        with self._settled:
            while not self.stopped:
                # Anew each time: an answer that came meanwhile may have taught what a request costs.
                expected = self._priced(self._expected.usage(request))
                cost = expected.cost or 0.0
                if most is not None and self.counts["sent"] >= most:
                    self._stop(TeacherUnavailable(f"--max-requests {most} is reached", "run again"))
                elif budget is None or self.spent + self.reserved + cost <= budget + ROUNDING:
                    self.counts["sent"] += 1
                    self.reserved += cost
                    return expected
                elif self.reserved <= ROUNDING:
                    left = f"${max(budget - self.spent, 0):.2g} of it left, the next request about ${cost:.2g}"
                    hint = f"{left}; give a larger --budget"
                    self._stop(TeacherUnavailable(f"the budget of ${budget:g} is spent", hint))
                else:
                    self._settled.wait()
            raise self.stopped

    def _settle(self, reserved: Usage, used: Usage | None) -> None:
        with self._settled:
            self.reserved -= reserved.cost or 0.0
            if used:
                self.spent += used.cost or 0.0
                self.counts["prompt"] += used.prompt_tokens
                self.counts["completion"] += used.completion_tokens
            self._settled.notify_all()

    def _add(self, estimated: bool, lost: Usage | None = None) -> None:
        with self._settled:
            self.counts["estimated"] += estimated
            if lost:
                self._lost = sum_usage([self._lost, lost])

    def _priced(self, usage: Usage, model: str = "") -> Usage:
        """With its cost, by the price of the model that the reply named, or of the one that was asked for."""
        price = self.prices.find(model, self.identity.model)
        return usage if price is None else structs.replace(usage, cost=price.cost(usage))

    def _check_model(self, replied: str) -> None:
        """Say once that another model answers than the one asked for."""
        asked = self.identity.model
        with self._settled:
            if same_model(asked, replied) or replied in self._other_models:
                return
            self._other_models.add(replied)
        known = self.prices.find(replied)
        priced = "" if known or not self.prices.find(asked) else f", at the price of {asked}"
        console.warn(f"asked for {asked}, the server answers as {replied}: records name that model{priced}")


class _Expected:
    """What a request is expected to use: as the longest answer so far, or as guessed before there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guessed = self._counted = 0
        self._longest: dict[str, int] = {}

    def usage(self, request: Request) -> Usage:
        with self._lock:
            ratio = self._counted / self._guessed if self._guessed else 1
            completion = self._longest.get(request.purpose, request.expected_tokens)
        return Usage(round(request.prompt_tokens * ratio), min(completion, request.sampling.max_tokens))

    def learn(self, request: Request, usage: Usage) -> None:
        with self._lock:
            self._guessed += request.prompt_tokens
            self._counted += usage.prompt_tokens
            longest = self._longest.get(request.purpose, 0)
            self._longest[request.purpose] = max(longest, usage.completion_tokens)


def same_model(asked: str, replied: str) -> bool:
    """Whether a reply's name of its model is that asked for, as a path or not, in some version of it."""
    if not replied or asked == replied:
        return True
    asked, replied = (name.rstrip("/").rpartition("/")[2].lower() for name in (asked, replied))
    return asked == replied or replied.startswith((f"{asked}-2", f"{asked}@", f"{asked}:"))
