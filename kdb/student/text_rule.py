"""The decision rule for text answers: the student writes its bundles, inside the closed world or freely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kdb.answers import AnswerError, TextAnswer
from kdb.conversation import Shown, messages, prompt_hash, truth_text
from kdb.records import Bundle, Item, Session, Usage
from kdb.student.decision import Decision, Question
from kdb.student.examples import Example, batches, prompt_ids, text_example
from kdb.student.generation import Generated, Generator
from kdb.student.model import Student

FREE_TOKENS = 128


class TextRule:
    """Asks for an answer in a text format; `free` turns the grammar off, answers are then repaired or fail."""

    def __init__(self, student: Student, answer: TextAnswer, max_prompt_tokens: int, free: bool = False) -> None:
        self.student, self.answer, self.free = student, answer, free
        self.max_prompt_tokens = min(max_prompt_tokens, student.context)
        self.generator = Generator(student)

    @property
    def prompt(self) -> str:
        """See `Rule`."""
        return prompt_hash(self.answer)

    def examples(self, question: Question, bundles: Sequence[Bundle]) -> list[Example]:
        """See `Rule`: one example, the whole answer."""
        question, _ = self._fitted(question)
        turns = messages(self.answer, question.items, question.shown)
        return [text_example(self.student.tokenizer, turns, truth_text(self.answer, question.items, bundles))]

    def learn(self, training: Sequence[Session], validation: Sequence[Session], batch: int) -> None:
        """See `Rule`: nothing, the student says it all."""

    def save(self, folder: Path) -> None:
        """See `Rule`: nothing."""

    def read(self, folder: Path) -> None:
        """See `Rule`: nothing."""

    def decide(self, questions: Sequence[Question], batch: int) -> list[Decision]:
        """See `Rule`; questions of like length are answered together."""
        fitted = [self._fitted(question) for question in questions]
        prompts = [prompt_ids(self.student.tokenizer, messages(self.answer, q.items, q.shown)) for q, _ in fitted]
        decisions: list[Decision | None] = [None] * len(prompts)
        for indices in batches([len(p) for p in prompts], batch):
            sizes = [len(fitted[i][0].items) for i in indices]
            grammars = None if self.free else [self.answer.grammar(size) for size in sizes]
            most = FREE_TOKENS if self.free else 1 + max(self.answer.length(size) for size in sizes)
            answers = self.generator.generate([prompts[i] for i in indices], grammars, most)
            for i, answer in zip(indices, answers, strict=True):
                question, left_out = fitted[i]
                decision = self._read(answer, question.items)
                usage = Usage(prompt_tokens=len(prompts[i]), completion_tokens=answer.tokens)
                decisions[i] = replace(decision, usage=usage, shown=question.shown, left_out=left_out)
        return [d for d in decisions if d is not None]

    def _read(self, answer: Generated, items: list[Item]) -> Decision:
        try:
            groups, intents = self.answer.parse(answer.text, len(items))
        except AnswerError:
            groups, intents = self.answer.repair(answer.text, len(items))
            status = "repaired" if groups else "failed"
        else:
            status = "ok"
        bundles = [
            Bundle([items[i].id for i in group], intent) for group, intent in zip(groups, intents, strict=True)
        ]
        return Decision(bundles, status, answer.text)  # type: ignore[arg-type]

    def _fitted(self, question: Question) -> tuple[Question, int]:
        """The question with as much beside it as the prompt may hold, and how much was left out.

        The knowledge that comes last goes first, then the demonstrations that are least similar.
        """
        shown, left_out = question.shown, 0
        while shown.demos or shown.knowledge:
            if self._length(question.items, shown) <= self.max_prompt_tokens:
                break
            if shown.knowledge:
                shown = Shown(shown.demos, shown.knowledge[:-1])
            else:
                shown = Shown(shown.demos[1:])
            left_out += 1
        return Question(question.items, shown), left_out

    def _length(self, items: list[Item], shown: Shown) -> int:
        return len(prompt_ids(self.student.tokenizer, messages(self.answer, items, shown)))
