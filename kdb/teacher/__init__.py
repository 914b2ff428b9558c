"""Teachers: the large models that knowledge is drawn from, behind one method, `ask`.

A backend answers one request by sending one. Around it stand layers with the same method: limits and prices
(`metered`), retries (`retrying`) and the cache of answers (`cached`). `kdb.teacher.client` puts them together.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec
from msgspec import Struct

from kdb.errors import KdbError
from kdb.records import Usage

if TYPE_CHECKING:
    from kdb.teacher.config import TeacherConfig

BACKENDS = {
    "annotations": "kdb.teacher.annotations:AnnotationTeacher",
}
"""The teachers that `--teacher` takes by name, each a `Backend`; any other name is the address of a server, or the
folder or hub id of a model in this process."""

AGAIN = "run again: what was answered is not asked again"

Message = dict[str, str]


class Sampling(Struct, frozen=True):
    """How a teacher is to answer; `max_tokens` bounds one answer."""

    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 1024


class Identity(Struct, frozen=True):
    """Who answers: the address of a server (none for a local model), the name of its model, and what bodies hold.

    `extra` are further fields of each request's body; `without` are parameters that the server refuses.
    """

    server: str
    model: str
    extra: dict[str, Any] = {}
    without: frozenset[str] = frozenset()


class ScoredToken(Struct, frozen=True):
    """A token, by its number and as text, whose log probability after a prompt is asked for.

    `prompt` has the tokens of the message; `is_text` says that the message as text is read as these very tokens.
    """

    token: int
    text: str
    prompt: list[int]
    is_text: bool


class Request(Struct, frozen=True):
    """One question to a teacher.

    An answer is to fit the `grammar` (EBNF) where there is one and the teacher knows grammars, else the JSON
    `schema` where there is one. `expected_tokens` is a guess at the length of the answer, for estimates;
    `subject` says what the request is about; `reference` gives the answer that the annotations amount to. With
    `scored` nothing is to be written: the answer is a log probability, as text.
    """

    purpose: str
    messages: list[Message]
    schema: dict[str, Any] | None
    sampling: Sampling = Sampling()
    expected_tokens: int = 256
    grammar: str = ""
    subject: str = ""
    reference: Callable[[], str] | None = None
    scored: ScoredToken | None = None

    def key(self, identity: Identity) -> str:
        """The hash of everything that shapes the answer: who gives it, and what is asked.

        The limit on its length is not part of it: an answer that was not cut off would be the same under any.
        """
        who = [identity.server, identity.model, identity.extra, sorted(identity.without)]
        what = [self.messages, self.sampling.temperature, self.sampling.seed, self.schema, self.grammar]
        what += [self.scored] if self.scored else []
        return hashlib.sha256(msgspec.json.encode([who, what], order="sorted")).hexdigest()[:32]

    @property
    def prompt_tokens(self) -> int:
        """A guess at the tokens of the messages: one in 3.5 characters, as titles are denser than prose."""
        return sum(2 * len(message["content"]) // 7 + 4 for message in self.messages)


class Answer(Struct, frozen=True):
    """What a teacher said, what that took, and whether it was cut off.

    `model` is the name that the reply gave; `estimated` is set where the server counted no tokens; `provisional`
    where the answer only stands for one that would come, and is not to be kept.
    """

    text: str
    usage: Usage
    finish_reason: str = "stop"
    seconds: float = 0.0
    model: str = ""
    estimated: bool = False
    provisional: bool = False

    @property
    def truncated(self) -> bool:
        """Whether the limit on its length cut the answer off."""
        return self.finish_reason == "length"


class Teacher(Protocol):
    """What answers requests; many threads may ask at once."""

    @property
    def is_model(self) -> bool:
        """Whether it is a model, whose answers are kept, counted and paid for, and may not come."""

    @property
    def identity(self) -> Identity:
        """Who answers."""

    @property
    def usage(self) -> Usage:
        """What all answers took, and also what was paid for no answer."""

    def ask(self, request: Request) -> Answer:
        """The answer; RequestFailed where this request has none, TeacherUnavailable where none will get one."""

    def summary(self) -> list[str]:
        """What this run took, in words."""

    def shortfall(self, what: str) -> KdbError:
        """The error of a run that ends without some of its answers."""


class Backend(ABC):
    """A teacher without layers: what all of them have in common."""

    is_model = True
    """See `Teacher`; of the class, because it says which layers a teacher gets."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.usage = Usage()

    @classmethod
    def open(cls, identity: Identity, config: TeacherConfig) -> Self:
        """The backend that a configuration asks for, who is to sign as `identity`."""
        return cls(identity)

    @abstractmethod
    def ask(self, request: Request) -> Answer:
        """See `Teacher`."""

    def summary(self) -> list[str]:
        """See `Teacher`."""
        return []

    def shortfall(self, what: str) -> KdbError:
        """See `Teacher`."""
        return KdbError(what, AGAIN)


class Unanswered(KdbError):
    """A request has no answer (yet)."""


class RequestFailed(Unanswered):
    """This request got no answer; it may get one when it is sent again, after `retry_after` seconds.

    `usage` is what is known to have been used all the same; `billed` says that a server may have worked on it;
    `unavailable` that no other request will fare better.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        retry_after: float | None = None,
        usage: Usage | None = None,
        billed: bool = False,
        unavailable: bool = False,
    ) -> None:
        super().__init__(message, hint)
        self.retry_after, self.usage, self.billed, self.unavailable = retry_after, usage, billed, unavailable


class NotAnAnswer(RequestFailed):
    """A reply came, and it is no answer: `reason` says what it is ("a refusal"), `said` quotes it.

    `malformed` is set where it is not even in the form of a reply.
    """

    def __init__(
        self, reason: str, said: str = "", hint: str = "", usage: Usage | None = None, malformed: bool = False
    ) -> None:
        quote = f': "{said}"' if said else ""
        what = f"answered with {reason}{quote} instead of an answer"
        super().__init__(what, hint, usage=usage, billed=usage is not None)
        self.reason, self.said, self.malformed = reason, said, malformed


class ParameterRefused(RequestFailed):
    """The server knows a parameter not, which is left out from now on: to be sent again at once."""


class RequestInvalid(RequestFailed):
    """This request will get no answer however often it is asked: too long, or against a server's rules."""


class TeacherUnavailable(Unanswered):
    """Asking on is useless or not wanted: a wrong key or address, a budget that is spent."""


def total(answers: list[Answer]) -> Usage:
    """The tokens and the money of several answers together."""
    return sum_usage([answer.usage for answer in answers])


def sum_usage(usages: Iterable[Usage]) -> Usage:
    """The tokens and the money of all of these; no money where no price of any is known."""
    usages = list(usages)
    costs = [usage.cost for usage in usages if usage.cost is not None]
    return Usage(
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        round(sum(costs), 10) if costs else None,
        sum(usage.cached_tokens for usage in usages),
        sum(usage.reasoning_tokens for usage in usages),
    )


def without_usage(usage: Usage, part: Usage) -> Usage:
    """What is left of a usage without a part of it."""
    cost = None if usage.cost is None else round(usage.cost - (part.cost or 0), 10) or None
    prompt, completion, cached, reasoning = (a - b for a, b in zip(_counts(usage), _counts(part), strict=True))
    return Usage(prompt, completion, cost, cached, reasoning)


def shares(usage: Usage, count: int) -> list[Usage]:
    """A usage in so many equal shares; the first has the remainder."""
    cost = None if usage.cost is None else usage.cost / count
    split = []
    for n in range(count):
        counts = (own // count + (own % count if n == 0 else 0) for own in _counts(usage))
        prompt, completion, cached, reasoning = counts
        split.append(Usage(prompt, completion, cost, cached, reasoning))
    return split


def _counts(usage: Usage) -> tuple[int, int, int, int]:
    return usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens


class Layer:
    """A teacher around another one, which it asks; it hands on what it does not change."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher

    @property
    def is_model(self) -> bool:
        """See `Teacher`."""
        return self.teacher.is_model

    @property
    def identity(self) -> Identity:
        """See `Teacher`."""
        return self.teacher.identity

    @property
    def usage(self) -> Usage:
        """See `Teacher`."""
        return self.teacher.usage

    def summary(self) -> list[str]:
        """See `Teacher`."""
        return self.teacher.summary()

    def shortfall(self, what: str) -> KdbError:
        """See `Teacher`."""
        return self.teacher.shortfall(what)
