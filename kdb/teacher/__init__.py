"""Teachers: the large models that knowledge is drawn from, behind one protocol.

A teacher answers one request at a time and may be asked many at once. What it answers is kept by
`kdb.teacher.metered`, which every request passes through, so that nothing is asked or paid twice.
"""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from kdb.errors import KdbError
from kdb.records import Usage

Message = dict[str, str]

ANNOTATIONS = "annotations"
"""The teacher that is no model at all (see `kdb.teacher.annotations`)."""


class Sampling(Struct, frozen=True):
    """How a teacher is to answer; `max_tokens` bounds one answer."""

    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 1024


class Request(Struct, frozen=True):
    """One question to a teacher. `expected` is a guess at the tokens of its answer, for plans only.

    An answer is to fit the `grammar` (EBNF) where there is one and the teacher knows grammars, else the JSON
    `schema` where there is one.
    """

    purpose: str
    messages: list[Message]
    schema: dict[str, Any] | None
    sampling: Sampling = Sampling()
    expected_tokens: int = 256
    grammar: str = ""

    def key(self, model: str) -> str:
        """The hash of everything that shapes the answer.

        The limit on its length is not part of it: an answer that was not cut off would be the same under any.
        """
        shape: list[Any] = [model, self.messages, self.sampling.temperature, self.sampling.seed, self.schema]
        shape += [self.grammar] if self.grammar else []
        return hashlib.sha256(msgspec.json.encode(shape, order="sorted")).hexdigest()[:32]

    @property
    def prompt_tokens(self) -> int:
        """A guess at the tokens of the messages: one in 3.5 characters, as titles are denser than prose."""
        return sum(2 * len(message["content"]) // 7 + 4 for message in self.messages)


class Answer(Struct, frozen=True):
    """What a teacher said, what that took, and whether it was cut off."""

    text: str
    usage: Usage
    finish_reason: str = "stop"
    seconds: float = 0.0

    @property
    def truncated(self) -> bool:
        """Whether the limit on its length cut the answer off."""
        return self.finish_reason == "length"


class Teacher(Protocol):
    """What answers requests, under the name of its model."""

    model: str

    async def ask(self, request: Request) -> Answer:
        """The answer; RequestFailed where this request has none, TeacherUnavailable where none will get one."""


class Unanswered(KdbError):
    """A request has no answer (yet)."""


class RequestFailed(Unanswered):
    """This request got no answer; others may."""


class RequestInvalid(RequestFailed):
    """This request will get no answer however often it is asked: too long, or against a server's rules."""


class TeacherUnavailable(Unanswered):
    """Asking on is useless or not wanted: a wrong key or address, a budget that is spent."""
