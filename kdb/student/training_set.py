"""Annotated and labelled sessions as what a student is taught, epoch by epoch, and as what it is asked."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kdb.prompts import sanitized_text
from kdb.prompts.messages import Message, PromptContext, Query, thought_messages
from kdb.records import Item, Knowledge, Session, SessionKey
from kdb.retrieval.labels import Labels, weight_of
from kdb.student.config import StudentConfig
from kdb.student.examples import THOUGHT, Example, text_example, truncate
from kdb.student.methods.method import AnswerMethod
from kdb.student.model import Student

Thoughts = Mapping[SessionKey, Knowledge]
"""Thoughts by the domain and the id of their session."""


def thought_example(student: Student, items: Sequence[Item], thought: str, max_tokens: int) -> Example:
    """An example of the second task: the products in, the thought out."""
    turns, target = thought_messages(items), truncate(student.tokenizer, thought, max_tokens)
    return replace(text_example(student.tokenizer, turns, target), task=THOUGHT)


def thought_of(session: Session, thoughts: Thoughts) -> str:
    """The thought about a session as a student may read it; empty where there is none."""
    thought = thoughts.get(session.key)
    return sanitized_text(thought.text) if thought else ""


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
            Query(session, context, thought=thought_of(session, self.thoughts))
            for session, context in zip(self.sessions, self.contexts, strict=True)
        ]

    def examples(self, epoch: int) -> list[Example]:
        """All examples of an epoch; a function of the seed and the epoch alone."""
        found: list[Example] = []
        for query in self._shuffled(epoch):
            own = self.method.examples(query)
            weight = weight_of(query.session, self.labels)
            found += own if weight == 1 else [replace(example, weight=weight) for example in own]
            if self._has_second_task(query):
                limit = self.config.method.max_thought_tokens
                found.append(thought_example(self.student, query.items, query.thought, limit))
        return found

    def conversations(self, epoch: int) -> Iterator[list[Message]]:
        """The same as chat messages."""
        for query in self._shuffled(epoch):
            yield from self.method.conversations(query) or []
            if self._has_second_task(query):
                thought = truncate(self.student.tokenizer, query.thought, self.config.method.max_thought_tokens)
                yield [*thought_messages(query.items), {"role": "assistant", "content": thought}]

    def _shuffled(self, epoch: int) -> list[Query]:
        rng = random.Random(f"{self.config.training.seed}:items:{epoch}")
        queries = self.queries()
        for query in queries:
            rng.shuffle(query.items)
        return queries

    def _has_second_task(self, query: Query) -> bool:
        return self.config.method.thoughts == "auxiliary" and bool(query.thought)
