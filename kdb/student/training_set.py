"""Annotated sessions as what a student is taught, epoch by epoch, and as what it is asked."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kdb.prompts.messages import LabelledQuery, Message, PromptContext, Query, thought_messages
from kdb.records import Knowledge, Session
from kdb.student.config import StudentConfig
from kdb.student.examples import THOUGHT, Example, shortened, text_example
from kdb.student.methods.method import AnswerMethod
from kdb.student.model import Student

Thoughts = Mapping[tuple[str, str], Knowledge]
"""Thoughts by the domain and the id of their session."""


class TrainingSet:
    """Sessions, what is shown beside each, and the thoughts about them; items in an order drawn anew each epoch."""

    def __init__(
        self,
        student: Student,
        rule: AnswerMethod,
        recipe: StudentConfig,
        sessions: Sequence[Session],
        shown: Sequence[PromptContext],
        thoughts: Thoughts,
    ) -> None:
        self.student, self.rule, self.recipe = student, rule, recipe
        self.sessions, self.shown, self.thoughts = sessions, shown, thoughts

    def plain(self) -> list[LabelledQuery]:
        """A lesson for each session, items in the order of the session."""
        found = []
        for session, shown in zip(self.sessions, self.shown, strict=True):
            thought = self.thoughts.get(session.key)
            question = Query(list(session.items), shown)
            found.append(LabelledQuery(question, session.truth or [], thought.text if thought else ""))
        return found

    def examples(self, epoch: int) -> list[Example]:
        """All examples of an epoch; a function of the seed and the epoch alone."""
        found: list[Example] = []
        for lesson in self._shuffled(epoch):
            found += self.rule.examples(lesson)
            for turns, thought in self._second_task(lesson):
                example = text_example(self.student.tokenizer, turns, thought)
                found.append(replace(example, task=THOUGHT))
        return found

    def conversations(self, epoch: int) -> Iterator[list[Message]]:
        """The same as chat messages."""
        for lesson in self._shuffled(epoch):
            yield from self.rule.conversations(lesson)
            for turns, thought in self._second_task(lesson):
                yield [*turns, {"role": "assistant", "content": thought}]

    def _shuffled(self, epoch: int) -> list[LabelledQuery]:
        rng = random.Random(f"{self.recipe.training.seed}:items:{epoch}")
        lessons = self.plain()
        for lesson in lessons:
            rng.shuffle(lesson.question.items)
        return lessons

    def _second_task(self, lesson: LabelledQuery) -> Iterator[tuple[list[Message], str]]:
        """What asks for the thought alone, and the thought, if that is a task of its own and there is one."""
        if self.recipe.target == "both" and lesson.thought:
            most = self.recipe.max_thought_tokens
            yield thought_messages(lesson.question.items), shortened(self.student.tokenizer, lesson.thought, most)
