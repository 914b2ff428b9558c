"""How a student is taught, asked and read: one interface for all answer formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from kdb.prompts.messages import Message, PromptContext, Query
from kdb.records import Bundle, Prediction, Session
from kdb.student.examples import Example

Output = TypeVar("Output")


class AnswerMethod(ABC, Generic[Output]):
    """A way to teach a student bundles and to read them from it.

    `Output` is what the student says to a query: a text, or log odds. The classes say what holds for them as text
    formats do (see `TextFormat`).
    """

    is_text: ClassVar[bool] = False
    has_intents: ClassVar[bool] = False
    has_tokens: ClassVar[bool] = True
    served_as: ClassVar[str]
    can_sample: ClassVar[bool] = False
    epochs: ClassVar[float] = 1
    """Passes over the sessions, unless another number is asked for."""

    @abstractmethod
    def examples(self, query: Query) -> list[Example]:
        """What the student is trained on for one annotated session."""

    @abstractmethod
    def read(self, queries: Sequence[Query], batch_size: int) -> list[Output]:
        """What the student says to each query, `batch_size` sequences at a time."""

    @abstractmethod
    def decode(self, queries: Sequence[Query], outputs: Sequence[Output]) -> Prediction:
        """The prediction for one session, by what the student said to one query about it or to several.

        The fields of a run (`run`, `seconds`) are left as they are by default.
        """

    def predict(self, queries: Sequence[Sequence[Query]], batch_size: int) -> list[Prediction]:
        """One prediction for each session, about which there are one or more queries."""
        outputs = iter(self.read([query for own in queries for query in own], batch_size))
        return [self.decode(own, [next(outputs) for _ in own]) for own in queries]

    def conversations(self, query: Query) -> list[list[Message]] | None:
        """The examples as chat messages, the student's turn last; None for a method that has none."""
        return None

    # What a method learns beside the student's weights; most learn nothing.

    def fit(self, training: Sequence[Session], validation: Sequence[Query], outputs: Sequence[Output]) -> None:
        """Learn from annotated sessions. `outputs` is what the student says of those of `validation`, new to it."""

    def save(self, folder: Path) -> None:
        """Keep what `fit` learnt beside the adapter."""

    def load(self, folder: Path) -> None:
        """Take what `save` kept; KdbError where that does not fit."""


def prediction(query: Query, bundles: list[Bundle], **fields: Any) -> Prediction:
    """The prediction for the session of a query."""
    context: PromptContext = fields.pop("context", query.context)
    return Prediction.of(
        query.session,
        bundles,
        demos=[demo.session.id for demo in context.demos],
        knowledge=[piece.id for piece in context.pieces],
        **fields,
    )
