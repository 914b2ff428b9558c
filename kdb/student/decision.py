"""The decision rule: how a student is asked about sessions, taught, and read. One interface, two kinds.

`text` rules let the student write its answer; `score` rules read its probabilities and decode them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kdb.conversation import Shown
from kdb.records import Bundle, Item, Session, Status, Usage
from kdb.student.examples import Example


@dataclass
class Question:
    """A session as it is shown: its items in this order, and what stands beside them."""

    items: list[Item]
    shown: Shown = field(default_factory=Shown)


@dataclass
class Decision:
    """The bundles that a student decided on, how it said so, and what that took.

    `shown` is what stood beside the session; `left_out` counts what did not fit into the prompt.
    """

    bundles: list[Bundle]
    status: Status = "ok"
    raw: str = ""
    usage: Usage = field(default_factory=Usage)
    shown: Shown = field(default_factory=Shown)
    left_out: int = 0


class Rule(Protocol):
    """A way to teach a student bundles and to read them from it."""

    def examples(self, question: Question, bundles: Sequence[Bundle]) -> list[Example]:
        """What the student is trained on for a session with these true bundles."""

    def decide(self, questions: Sequence[Question], batch: int) -> list[Decision]:
        """A decision for each question, `batch` sequences at a time."""

    def learn(self, training: Sequence[Session], validation: Sequence[Session], batch: int) -> None:
        """Learn what the rule needs beside the student's weights, from annotated sessions."""

    def save(self, folder: Path) -> None:
        """Keep what `learn` learnt beside the adapter."""

    def read(self, folder: Path) -> None:
        """Take what `save` kept."""

    @property
    def prompt(self) -> str:
        """The hash of the prompts in use."""
