"""A student that a server has and that writes its answers: asked what a student in this process is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import structs

from kdb import console
from kdb.predictors.options import InferOptions
from kdb.predictors.served_student import ServedStudent
from kdb.prompts import replies
from kdb.prompts.answers import TextFormat
from kdb.prompts.messages import Query, messages
from kdb.records import Prediction
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student.aggregation import aggregate
from kdb.student.methods.build import answer_class
from kdb.student.methods.generation import parsed, truncate_context
from kdb.teacher import Request, Sampling
from kdb.teacher.client import open_teacher


class RemoteStudent(ServedStudent[list[Prediction]]):
    """Predicts by the answers of a server, which may know grammars or not."""

    def __init__(self, options: InferOptions, base: KnowledgeBase) -> None:
        assert options.server
        config = structs.replace(options.config, student=options.server.model)
        self.answer: TextFormat = answer_class(config.method)(config.method.intents)
        self.reasoned = config.method.thoughts == "first"
        self.generation = options.generation
        self.max_prompt_tokens = config.context.max_prompt_tokens
        super().__init__(options, base, config, open_teacher(options.server))
        self.settings["max_tokens"] = options.server.max_tokens
        self.gives_probabilities = options.generation.samples > 1

    def close(self) -> None:
        """Say what that took, and how many answers were of another form than asked for."""
        super().close()
        if other := self.counts["repaired"] + self.counts["failed"]:
            failed = f"{self.counts['failed']} failed, {self.counts['repaired']} repaired"
            console.say(f"{other} of {self.counts.total()} answers were in another form than asked for: {failed}")

    def _asking(self, queries: Sequence[Query]) -> Callable[[], list[Prediction]]:
        return lambda: [self._ask(query) for query in queries]

    def _decoded(self, queries: Sequence[Query], said: list[Prediction]) -> Prediction:
        return aggregate(said, self.generation.aggregate)

    def _ask(self, query: Query) -> Prediction:
        query, dropped = truncate_context(
            query, lambda own: self._request(own).prompt_tokens, self.max_prompt_tokens
        )
        answer = self.teacher.ask(self._request(query))
        text = self.answer.from_json(replies.strip_reasoning(answer.text).strip())
        found = parsed(self.answer, text, query, usage=answer.usage, context_dropped=dropped)
        return structs.replace(found, raw=answer.text)

    def _request(self, query: Query) -> Request:
        size, generation = len(query.items), self.generation
        bound = not (generation.unconstrained or self.reasoned)  # what comes before an answer fits no grammar
        return Request(
            purpose="infer",
            messages=messages(self.answer, query, self.reasoned),
            schema=self.answer.schema(size) if bound else None,
            sampling=Sampling(generation.temperature, generation.seed + query.draw, self.server.max_tokens),
            grammar=self.answer.grammar(size) if bound else "",
        )
