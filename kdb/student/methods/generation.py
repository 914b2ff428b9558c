"""Text answers: the student writes its bundles, inside the closed world or freely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from kdb.prompts import sanitized_text
from kdb.prompts.answers import AnswerError, TextFormat
from kdb.prompts.messages import ANSWER_MARKER, Message, Query, messages, truth_text
from kdb.records import Bundle, Prediction, Usage
from kdb.student.aggregation import aggregate
from kdb.student.config import StudentConfig
from kdb.student.examples import Example, length_grouped_batches, prompt_ids, text_example, token_ids, truncate
from kdb.student.generate import Generated, Generator, SamplingConfig
from kdb.student.generation_config import GenerationConfig
from kdb.student.methods.method import AnswerMethod, prediction
from kdb.student.model import Student

UNCONSTRAINED_TOKENS = 128
THOUGHT_TOKENS = 256
"""The longest thought of a student that was taught none."""


class GenerationMethod(AnswerMethod[Generated]):
    """Asks for an answer in a text format; an answer written freely is repaired, or fails."""

    is_text = can_sample = True
    served_as = "text"

    def __init__(
        self, student: Student, answer: TextFormat, config: StudentConfig, generation: GenerationConfig
    ) -> None:
        self.student, self.answer, self.generation = student, answer, generation
        self.reasoned = config.method.thoughts == "first"
        self.max_thought_tokens = config.method.max_thought_tokens or THOUGHT_TOKENS
        room = self.max_thought_tokens if self.reasoned else 0
        self.max_prompt_tokens = min(config.context.max_prompt_tokens, student.context_length - room)
        self.generator = Generator(student)

    def examples(self, query: Query) -> list[Example]:
        """See `AnswerMethod`: one example, the whole answer."""
        turns = self._messages(self._fitting(query)[0])
        return [text_example(self.student.tokenizer, turns, *self._target(query))]

    def conversations(self, query: Query) -> list[list[Message]]:
        """See `AnswerMethod`."""
        turns = self._messages(self._fitting(query)[0])
        return [[*turns, {"role": "assistant", "content": "".join(self._target(query))}]]

    def _target(self, query: Query) -> list[str]:
        """What the student should write, in parts: a thought, the marker and the answer, or the answer alone."""
        said = truth_text(self.answer, query.items, query.bundles)
        if not self.reasoned:
            return [said]
        thought = truncate(self.student.tokenizer, sanitized_text(query.thought), self.max_thought_tokens)
        return [thought, ANSWER_MARKER, said]

    def read(self, queries: Sequence[Query], batch_size: int) -> list[Generated]:
        """See `AnswerMethod`; queries of like length are answered together."""
        fitting = [self._fitting(query) for query in queries]
        prompts = [self._prompt(query) for query, _ in fitting]
        found: dict[int, Generated] = {}
        for indices in length_grouped_batches([len(p) for p in prompts], batch_size):
            answers = self._answers([prompts[i] for i in indices], [fitting[i][0] for i in indices])
            found |= dict(zip(indices, answers, strict=True))
        return [found[i]._replace(prompt_tokens=len(prompt)) for i, prompt in enumerate(prompts)]

    def decode(self, queries: Sequence[Query], outputs: Sequence[Generated]) -> Prediction:
        """See `AnswerMethod`: several answers vote."""
        return aggregate(
            [self._prediction(query, output) for query, output in zip(queries, outputs, strict=True)],
            self.generation.aggregate,
        )

    def _prediction(self, query: Query, output: Generated) -> Prediction:
        fitting, context_dropped = self._fitting(query)
        usage = Usage(prompt_tokens=output.prompt_tokens, completion_tokens=output.tokens)
        return parsed(self.answer, output.text, fitting, usage=usage, context_dropped=context_dropped)

    def _answers(self, prompts: Sequence[list[int]], queries: Sequence[Query]) -> list[Generated]:
        """What the student writes after these prompts: thoughts first where they are asked for, then answers."""
        sizes, free = [len(query.items) for query in queries], self.generation.unconstrained
        grammars = None if free else [self.answer.grammar(size) for size in sizes]
        longest = UNCONSTRAINED_TOKENS if free else 1 + max(self.answer.max_bytes(size) for size in sizes)
        draws = [query.draw for query in queries]
        if not self.reasoned:
            return self.generator.generate(prompts, grammars, longest, self._sampling(prompts, draws))
        written = self.generator.generate(
            prompts, None, self.max_thought_tokens, self._sampling(prompts, draws), stop=ANSWER_MARKER
        )
        thoughts = [made.text.partition(ANSWER_MARKER)[0] for made in written]
        tokenizer = self.student.tokenizer
        begun = [
            [*prompt, *token_ids(tokenizer, thought), *token_ids(tokenizer, ANSWER_MARKER)]
            for prompt, thought in zip(prompts, thoughts, strict=True)
        ]
        answers = self.generator.generate(begun, grammars, longest, self._sampling(begun, draws))
        return [
            Generated(thought + ANSWER_MARKER + answer.text, made.tokens + answer.tokens)
            for thought, made, answer in zip(thoughts, written, answers, strict=True)
        ]

    def _sampling(self, prompts: Sequence[list[int]], draws: Sequence[int]) -> SamplingConfig | None:
        """What each answer is drawn by: the same in any batch."""
        if not self.generation.temperature:
            return None
        seeds = [f"{self.generation.seed}:{draw}:{prompt}" for prompt, draw in zip(prompts, draws, strict=True)]
        return SamplingConfig(self.generation.temperature, seeds)

    def _fitting(self, query: Query) -> tuple[Query, int]:
        return truncate_context(query, lambda own: len(self._prompt(own)), self.max_prompt_tokens)

    def _prompt(self, query: Query) -> list[int]:
        return prompt_ids(self.student.tokenizer, self._messages(query))

    def _messages(self, query: Query) -> list[Message]:
        return messages(self.answer, query, self.reasoned)


def truncate_context(query: Query, size: Callable[[Query], int], max_tokens: int) -> tuple[Query, int]:
    """The query with as much beside it as a prompt of `max_tokens` may hold, and how many pieces were left out."""
    context_dropped = 0
    while (query.context.demos or query.context.knowledge) and size(query) > max_tokens:
        query = replace(query, context=query.context.drop_least_useful())
        context_dropped += 1
    return query, context_dropped


def parsed(answer: TextFormat, written: str, query: Query, **fields: object) -> Prediction:
    """The bundles that a text states, thought and all; repaired or failed where it does not fit the grammar."""
    text = written.rpartition(ANSWER_MARKER)[2]
    try:
        groups, intents = answer.parse(text, len(query.items))
    except AnswerError:
        groups, intents = answer.parse_leniently(text, len(query.items))
        status = "repaired" if groups else "failed"
    else:
        status = "ok"
    bundles = [
        Bundle([query.items[i].id for i in group], intent) for group, intent in zip(groups, intents, strict=True)
    ]
    return prediction(query, bundles, status=status, **{"raw": written, **fields})
