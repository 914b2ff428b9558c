"""Annotated and labelled sessions as what a student is taught, epoch by epoch, and as what it is asked."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kdb.prompts import sanitized_text
from kdb.prompts.messages import Message, PromptContext, Query, thought_messages
from kdb.records import Knowledge, Session, SessionKey
from kdb.retrieval.labels import Labels, weight_of
from kdb.student.config import StudentConfig
from kdb.student.examples import THOUGHT, Example, text_example, truncate
from kdb.student.methods.method import AnswerMethod
from kdb.student.model import Student

Thoughts = Mapping[SessionKey, Knowledge]
"""Thoughts by the domain and the id of their session."""


@dataclass
class TrainingSet:
    """Sessions, what is shown beside each, and the thoughts about them; items in an order drawn anew each epoch."""

    student: Student
    method: AnswerMethod
    config: StudentConfig
    sessions: Sequence[Session]
    contexts: Sequence[PromptContext]
    thoughts: Thoughts
    labels: Labels = field(default_factory=dict)

    def queries(self) -> list[Query]:
        """A query for each session, items in the order of the session."""
        return [
            Query(session, context, thought=self._thought(session))
            for session, context in zip(self.sessions, self.contexts, strict=True)
        ]

    def examples(self, epoch: int) -> list[Example]:
        """All examples of an epoch; a function of the seed and the epoch alone."""
        found: list[Example] = []
        for query in self._shuffled(epoch):
            own = self.method.examples(query)
            weight = weight_of(query.session, self.labels)
            found += own if weight == 1 else [replace(example, weight=weight) for example in own]
            for turns, thought in self._second_task(query):
                found.append(replace(text_example(self.student.tokenizer, turns, thought), task=THOUGHT))
        return found

    def conversations(self, epoch: int) -> Iterator[list[Message]]:
        """The same as chat messages."""
        for query in self._shuffled(epoch):
            yield from self.method.conversations(query) or []
            for turns, thought in self._second_task(query):
                yield [*turns, {"role": "assistant", "content": thought}]

    def _thought(self, session: Session) -> str:
        thought = self.thoughts.get(session.key)
        return sanitized_text(thought.text) if thought else ""

    def _shuffled(self, epoch: int) -> list[Query]:
        rng = random.Random(f"{self.config.training.seed}:items:{epoch}")
        queries = self.queries()
        for query in queries:
            rng.shuffle(query.items)
        return queries

    def _second_task(self, query: Query) -> Iterator[tuple[list[Message], str]]:
        """What asks for the thought alone, and the thought, if that is a task of its own and there is one."""
        if self.config.method.thoughts == "auxiliary" and query.thought:
            limit = self.config.method.max_thought_tokens
            yield thought_messages(query.items), truncate(self.student.tokenizer, query.thought, limit)
