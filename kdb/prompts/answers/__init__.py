"""Answers as text: how a student says which items of a session belong together.

Items are positions in the order in which the prompt shows them, counted from 0 in code and from 1 in text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

ItemPositions = list[int]
"""Positions of the items of one bundle, ascending."""


class AnswerError(ValueError):
    """A text is not an answer in this format; the message says why."""


class TextFormat(ABC):
    """A format in which the student writes its answer as text, with the intent of each bundle if `intents`.

    The classes say what holds for them: `is_text` that the answer is written, `has_intents` that the format can
    name intents, `has_tokens` that it is trained on answer tokens, `can_sample` that answers can be drawn and can
    vote, `served_as` what a server is asked for: its text, the states of tokens, or log probabilities (logprobs).
    """

    name: ClassVar[str]
    is_text: ClassVar[bool] = True
    has_intents: ClassVar[bool] = False
    has_tokens: ClassVar[bool] = True
    served_as: ClassVar[str] = "text"
    can_sample: ClassVar[bool] = True

    def __init__(self, intents: bool = False) -> None:
        self.intents = intents and self.has_intents

    @property
    def prompt(self) -> str:
        """The name of the prompt that explains the format."""
        return f"answer_{self.name}{'_intents' if self.intents else ''}"

    @classmethod
    def prompts(cls, intents: bool) -> list[str]:
        """The names of all prompts that such a student is asked with."""
        return ["student", "knowledge", "session", cls(intents).prompt]

    @abstractmethod
    def render(self, groups: list[ItemPositions], intents: list[str], items: int) -> str:
        """The text that states these bundles of a session of `items` items."""

    @abstractmethod
    def grammar(self, items: int) -> str:
        """The EBNF of all answers about a session of `items` items: the closed world."""

    @abstractmethod
    def max_bytes(self, items: int) -> int:
        """The most bytes that an answer of the grammar can have, so the most tokens."""

    @abstractmethod
    def parse(self, text: str, items: int) -> tuple[list[ItemPositions], list[str]]:
        """The bundles that a text states, and their intents; AnswerError where it does not fit the grammar."""

    @abstractmethod
    def parse_leniently(self, text: str, items: int) -> tuple[list[ItemPositions], list[str]]:
        """What can be read from a text that need not fit the grammar; nothing where there is nothing."""

    def schema(self, items: int) -> dict[str, Any] | None:
        """The JSON schema of such answers, for servers that know no grammar; None where there is none."""
        return None

    def from_json(self, text: str) -> str:
        """The answer that JSON of this schema states; any other text as it is."""
        return text
