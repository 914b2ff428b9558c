"""An estimate in place of a teacher: goes through the whole run, asks nothing, and counts what would be asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kdb import console
from kdb.provenance import content_hash, versions
from kdb.records import Run, Usage
from kdb.teacher import Answer, Request
from kdb.teacher.cache import AnswerCache
from kdb.teacher.prices import Price


@dataclass
class CostEstimate:
    """Answers what is in the cache; to all else it says nothing, so that every retry and round is counted.

    So it is an upper bound, and exact where no answer can end a session early.
    """

    model: str
    cache: AnswerCache
    price: Price | None = None
    requests: Counter[str] = field(default_factory=Counter)
    prompt_tokens: Counter[str] = field(default_factory=Counter)
    completion_tokens: Counter[str] = field(default_factory=Counter)

    async def ask(self, request: Request) -> Answer:
        """The answer from the cache, or a counted text of the expected length that says nothing."""
        if stored := self.cache.find(request.key(self.model), request.sampling.max_tokens):
            return stored
        purpose = request.purpose
        expected = self.cache.mean_length(self.model, purpose) or request.expected_tokens
        self.requests[purpose] += 1
        self.prompt_tokens[purpose] += request.prompt_tokens
        self.completion_tokens[purpose] += min(expected, request.sampling.max_tokens)
        # As long as an answer, and another one each time: the same answer twice would end a conversation.
        return Answer(f"{self.requests.total():.<{4 * expected}}", Usage())

    def record(self, command: str, sessions: int) -> Run:
        """The estimate as a record, said on stderr too."""
        used = Usage(self.prompt_tokens.total(), self.completion_tokens.total())
        cost = None if self.price is None else round(self.price.cost(used), 6)
        self._say(sessions, used, cost)
        measured = {
            "sessions": sessions,
            "requests": self.requests.total(),
            "purposes": dict(self.requests),
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": used.completion_tokens,
            "cost": cost,
        }
        settings = {"dry_run": True, "teacher": self.model}
        return Run(
            id=content_hash([command, settings, measured]),
            command=command,
            settings=settings,
            versions=versions(),
            measured=measured,
        )

    def _say(self, sessions: int, used: Usage, cost: float | None) -> None:
        console.say(f"dry run for {sessions} sessions and {self.model}; nothing is sent")
        for purpose, count in self.requests.items():
            tokens = f"{self.prompt_tokens[purpose]:,} + {self.completion_tokens[purpose]:,}"
            console.say(f"  {purpose}: {count} requests, about {tokens} tokens")
        money = "no price known" if cost is None else f"${cost:.4f}"
        tokens = f"{used.prompt_tokens:,} + {used.completion_tokens:,}"
        console.say(f"  at most {self.requests.total()} requests, about {tokens} tokens, {money}")
