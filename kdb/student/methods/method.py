"""The decision rule: how a student is asked about sessions, taught, and read. One interface, two kinds.

`text` rules let the student write its answer; `score` rules read its probabilities and decode them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kdb.prompts.messages import LabelledQuery, Message, PromptContext, Query
from kdb.records import Bundle, Session, Status, Usage
from kdb.student.examples import Example


@dataclass
class Decision:
    """The bundles that a student decided on, how it said so, and what that took.

    `shown` is what stood beside the session; `left_out` counts what did not fit into the prompt.
    """

    bundles: list[Bundle]
    status: Status = "ok"
    raw: str = ""
    usage: Usage = field(default_factory=Usage)
    shown: PromptContext = field(default_factory=PromptContext)
    left_out: int = 0


class AnswerMethod(ABC):
    """A way to teach a student bundles and to read them from it."""

    @abstractmethod
    def examples(self, lesson: LabelledQuery) -> list[Example]:
        """What the student is trained on for one session."""

    @abstractmethod
    def conversations(self, lesson: LabelledQuery) -> list[list[Message]]:
        """The same as chat messages, the student's turn last; UsageError for a rule that has none."""

    @abstractmethod
    def decide(self, questions: Sequence[Query], batch: int) -> list[Decision]:
        """A decision for each question, `batch` sequences at a time."""

    @abstractmethod
    def vote(self, polls: Sequence[Sequence[Query]], batch: int) -> list[Decision]:
        """One decision for each poll, which asks one question in several ways."""

    # What a rule learns beside the student's weights; most learn nothing.

    def learn(self, training: Sequence[Session], validation: Sequence[LabelledQuery], batch: int) -> None:  # noqa: B027
        """Learn from annotated sessions, those of `validation` unknown to the student's weights."""

    def save(self, folder: Path) -> None:  # noqa: B027
        """Keep what `learn` learnt beside the adapter."""

    def read(self, folder: Path) -> None:  # noqa: B027
        """Take what `save` kept."""
