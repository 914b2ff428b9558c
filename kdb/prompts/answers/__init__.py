"""Answer formats by name: how a student says which items of a session belong together.

Items are positions in the order in which the prompt shows them, counted from 0 in code and from 1 in text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from kdb.errors import UsageError

ItemPositions = list[int]
"""Positions of the items of one bundle, ascending."""


class AnswerError(ValueError):
    """A text is not an answer in this format; the message says why."""


class TextFormat(Protocol):
    """A format in which the student writes its answer as text."""

    name: str
    intents: bool

    def target(self, groups: list[ItemPositions], intents: list[str], items: int) -> str:
        """The text that states these bundles of a session of `items` items."""

    def grammar(self, items: int) -> str:
        """The EBNF of all answers about a session of `items` items: the closed world."""

    def schema(self, items: int) -> dict[str, Any] | None:
        """The JSON schema of such answers, for servers that know no grammar; None where there is none."""

    def from_json(self, text: str) -> str:
        """The answer that JSON of this schema states; any other text as it is."""

    def length(self, items: int) -> int:
        """The most characters that an answer of the grammar can have."""

    def parse(self, text: str, items: int) -> tuple[list[ItemPositions], list[str]]:
        """The bundles that a text states, and their intents; AnswerError where it does not fit the grammar."""

    def repair(self, text: str, items: int) -> tuple[list[ItemPositions], list[str]]:
        """What can be read from a text that need not fit the grammar; nothing where there is nothing."""


def text_format(name: str, intents: bool) -> TextFormat:
    """The text format of this name; UsageError where there is none."""
    from kdb.prompts.answers.labels import LabelFormat
    from kdb.prompts.answers.list import ListFormat

    formats: dict[str, Callable[[bool], TextFormat]] = {"list": ListFormat, "labels": LabelFormat}
    if name not in formats:
        raise UsageError(f"no answer format {name!r}", f"there are {', '.join(formats)}")
    return formats[name](intents)
