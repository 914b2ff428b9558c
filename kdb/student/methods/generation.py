"""The decision rule for text answers: the student writes its bundles, inside the closed world or freely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kdb.prompts.answers import AnswerError, TextFormat
from kdb.prompts.messages import ANSWER_MARKER, LabelledQuery, Message, Query, messages, truth_text
from kdb.records import Bundle, Item, Usage
from kdb.student.aggregation import aggregate
from kdb.student.config import Aggregation
from kdb.student.examples import Example, length_grouped_batches, prompt_ids, shortened, text_example, token_ids
from kdb.student.generate import Generated, Generator, SamplingConfig
from kdb.student.methods.method import AnswerMethod, Decision
from kdb.student.model import Student

FREE_TOKENS = 128


@dataclass(frozen=True)
class GenerationConfig:
    """How answers are written: after a thought of at most `thought_tokens`, or not; inside a grammar, or freely.

    At temperature 0 the likeliest token is taken, above it one is drawn by the `seed` and the prompt. `vote` is
    for several answers about one session.
    """

    reasoned: bool = False
    thought_tokens: int = 256
    free: bool = False
    temperature: float = 0.0
    seed: int = 0
    vote: Aggregation = "answer"


class GenerationMethod(AnswerMethod):
    """Asks for an answer in a text format; an answer written freely is repaired, or fails."""

    def __init__(
        self, student: Student, answer: TextFormat, max_prompt_tokens: int, writing: GenerationConfig
    ) -> None:
        self.student, self.answer, self.writing = student, answer, writing
        room = writing.thought_tokens if writing.reasoned else 0
        self.max_prompt_tokens = min(max_prompt_tokens, student.context - room)
        self.generator = Generator(student)

    def examples(self, lesson: LabelledQuery) -> list[Example]:
        """See `AnswerMethod`: one example, the whole answer."""
        question, _ = self._fitted(lesson.question)
        turns = messages(self.answer, question, self.writing.reasoned)
        return [text_example(self.student.tokenizer, turns, *self._target(lesson))]

    def conversations(self, lesson: LabelledQuery) -> list[list[Message]]:
        """See `AnswerMethod`."""
        question, _ = self._fitted(lesson.question)
        turns = messages(self.answer, question, self.writing.reasoned)
        return [[*turns, {"role": "assistant", "content": "".join(self._target(lesson))}]]

    def _target(self, lesson: LabelledQuery) -> list[str]:
        """What the student should write, in parts: a thought, the marker and the answer, or the answer alone."""
        said = truth_text(self.answer, lesson.question.items, lesson.bundles)
        if not self.writing.reasoned:
            return [said]
        thought = shortened(self.student.tokenizer, lesson.thought, self.writing.thought_tokens)
        return [thought, ANSWER_MARKER, said]

    def decide(self, questions: Sequence[Query], batch: int) -> list[Decision]:
        """See `AnswerMethod`; questions of like length are answered together."""
        fitted = [self._fitted(question) for question in questions]
        prompts = [self._prompt(question) for question, _ in fitted]
        decisions: list[Decision | None] = [None] * len(prompts)
        for indices in length_grouped_batches([len(p) for p in prompts], batch):
            asked = [fitted[i][0] for i in indices]
            answers = self._answers([prompts[i] for i in indices], asked)
            for i, question, answer in zip(indices, asked, answers, strict=True):
                decision = read(self.answer, answer.text, question.items)
                usage = Usage(prompt_tokens=len(prompts[i]), completion_tokens=answer.tokens)
                decisions[i] = replace(decision, usage=usage, shown=question.shown, left_out=fitted[i][1])
        return [d for d in decisions if d is not None]

    def vote(self, polls: Sequence[Sequence[Query]], batch: int) -> list[Decision]:
        """See `AnswerMethod`: the answers to a poll vote."""
        decisions = iter(self.decide([question for poll in polls for question in poll], batch))
        return [aggregate([next(decisions) for _ in poll], self.writing.vote) for poll in polls]

    def _answers(self, prompts: Sequence[list[int]], asked: Sequence[Query]) -> list[Generated]:
        """What the student writes after these prompts: thoughts first where they are asked for, then answers."""
        sizes = [len(question.items) for question in asked]
        grammars = None if self.writing.free else [self.answer.grammar(size) for size in sizes]
        most = FREE_TOKENS if self.writing.free else 1 + max(self.answer.length(size) for size in sizes)
        draws = [question.draw for question in asked]
        if not self.writing.reasoned:
            return self.generator.generate(prompts, grammars, most, self._chance(prompts, draws))
        most_thought = self.writing.thought_tokens
        written = self.generator.generate(
            prompts, None, most_thought, self._chance(prompts, draws), stop=ANSWER_MARKER
        )
        thoughts = [made.text.partition(ANSWER_MARKER)[0] for made in written]
        tokenizer = self.student.tokenizer
        begun = [
            [*prompt, *token_ids(tokenizer, thought), *token_ids(tokenizer, ANSWER_MARKER)]
            for prompt, thought in zip(prompts, thoughts, strict=True)
        ]
        answers = self.generator.generate(begun, grammars, most, self._chance(begun, draws))
        return [
            Generated(thought + ANSWER_MARKER + answer.text, made.tokens + answer.tokens)
            for thought, made, answer in zip(thoughts, written, answers, strict=True)
        ]

    def _chance(self, prompts: Sequence[list[int]], draws: Sequence[int]) -> SamplingConfig | None:
        """What each answer is drawn by: the same in any batch."""
        if not self.writing.temperature:
            return None
        seeds = [f"{self.writing.seed}:{draw}:{prompt}" for prompt, draw in zip(prompts, draws, strict=True)]
        return SamplingConfig(self.writing.temperature, seeds)

    def _fitted(self, question: Query) -> tuple[Query, int]:
        return fitted(question, lambda own: len(self._prompt(own)), self.max_prompt_tokens)

    def _prompt(self, question: Query) -> list[int]:
        return prompt_ids(self.student.tokenizer, messages(self.answer, question, self.writing.reasoned))


def fitted(question: Query, size: Callable[[Query], int], most: int) -> tuple[Query, int]:
    """The question with as much beside it as a prompt of `most` tokens may hold, and how much was left out."""
    left_out = 0
    while (question.shown.demos or question.shown.knowledge) and size(question) > most:
        question = replace(question, shown=question.shown.less())
        left_out += 1
    return question, left_out


def read(answer: TextFormat, written: str, items: Sequence[Item]) -> Decision:
    """The bundles that a text states, thought and all; repaired or failed where it does not fit the grammar."""
    text = written.rpartition(ANSWER_MARKER)[2]
    try:
        groups, intents = answer.parse(text, len(items))
    except AnswerError:
        groups, intents = answer.repair(text, len(items))
        status = "repaired" if groups else "failed"
    else:
        status = "ok"
    bundles = [Bundle([items[i].id for i in group], intent) for group, intent in zip(groups, intents, strict=True)]
    return Decision(bundles, status, written)  # type: ignore[arg-type]
