"""A dry run in place of a teacher: goes through the whole run, sends nothing, and counts what would be sent."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator

from kdb import console
from kdb.io.provenance import content_hash, versions
from kdb.records import Run, Usage
from kdb.teacher import Answer, Backend, Identity, Layer, Request, Teacher
from kdb.teacher.cache import AnswerCache
from kdb.teacher.prices import Prices


class DryRun(Backend):
    """Says nothing to whatever is not in the cache, so that every retry and round is counted.

    So it is an upper bound, and exact where no answer can end a session early.
    """

    def __init__(self, identity: Identity, cache: AnswerCache, prices: Prices) -> None:
        super().__init__(identity)
        self.cache, self.prices = cache, prices
        self.subjects: set[str] = set()
        self.requests: Counter[str] = Counter()
        self.prompt_tokens: Counter[str] = Counter()
        self.completion_tokens: Counter[str] = Counter()
        self._lock = threading.Lock()

    def ask(self, request: Request) -> Answer:
        """A text of the expected length that says nothing, counted."""
        purpose = request.purpose
        with self._lock:
            expected = self.cache.mean_length(self.identity, purpose) or request.expected_tokens
            self.subjects.add(request.subject)
            self.requests[purpose] += 1
            self.prompt_tokens[purpose] += request.prompt_tokens
            self.completion_tokens[purpose] += min(expected, request.sampling.max_tokens)
            # As long as an answer, and another one each time: the same answer twice would end a conversation.
            return Answer(f"{self.requests.total():.<{4 * expected}}", Usage(), provisional=True)

    def record(self, command: str) -> Run:
        """The estimate as a record, said on stderr too."""
        used = Usage(self.prompt_tokens.total(), self.completion_tokens.total())
        price = self.prices.find(self.identity.model)
        cost = None if price is None else round(price.cost(used), 6)
        self._say(used, cost)
        measured = {
            "sessions": len(self.subjects),
            "requests": self.requests.total(),
            "purposes": dict(sorted(self.requests.items())),
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": used.completion_tokens,
            "cost": cost,
        }
        settings = {"dry_run": True, "teacher": self.identity.model}
        return Run(
            id=content_hash([command, settings, measured]),
            command=command,
            settings=settings,
            versions=versions(),
            measured=measured,
        )

    def _say(self, used: Usage, cost: float | None) -> None:
        console.say(f"dry run for {len(self.subjects)} sessions and {self.identity.model}; nothing is sent")
        for purpose, count in sorted(self.requests.items()):
            tokens = f"{self.prompt_tokens[purpose]:,} + {self.completion_tokens[purpose]:,}"
            console.say(f"  {purpose}: {count} requests, about {tokens} tokens")
        money = "no price known" if cost is None else f"${cost:.4f}"
        tokens = f"{used.prompt_tokens:,} + {used.completion_tokens:,}"
        console.say(f"  at most {self.requests.total()} requests, about {tokens} tokens, {money}")


def estimate(teacher: Teacher, outgoing: Iterable[object], command: str) -> Iterator[Run]:
    """What a dry run would ask, in the place of what its stage would write."""
    for _ in outgoing:
        pass
    assert isinstance(teacher, Layer) and isinstance(teacher.teacher, DryRun)
    yield teacher.teacher.record(command)
