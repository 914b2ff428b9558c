"""A student that a server has: asked what a student in this process is asked, through the layers of a teacher's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from kdb import console
from kdb.errors import UsageError
from kdb.io import provenance
from kdb.predictors.options import InferOptions, student_settings
from kdb.predictors.student import QueryBuilder
from kdb.prompts import replies
from kdb.prompts.answers import TextFormat
from kdb.prompts.messages import Query, messages
from kdb.records import Prediction, Session
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student.aggregation import aggregate
from kdb.student.methods.build import answer_class
from kdb.student.methods.generation import parsed, truncate_context
from kdb.student.seen_sessions import SeenSessions
from kdb.teacher import Request, RequestFailed, RequestInvalid, Sampling, Unanswered
from kdb.teacher.cached import finish
from kdb.teacher.client import open_teacher
from kdb.teacher.ordered_map import ordered_map


class RemoteStudent:
    """Predicts by the answers of a server, which may know grammars or not."""

    def __init__(self, options: InferOptions, base: KnowledgeBase) -> None:
        assert options.server
        config = options.config()
        config.student = options.server.model
        answer = answer_class(config.method)
        if answer.served_as != "text":
            raise UsageError(
                f"the answer format {config.method.answer} needs what servers do not give",
                "ask for --answer list or labels or an adapter trained on one, or leave out --url",
            )
        self.answer: TextFormat = answer(config.method.intents)
        self.reasoned = config.method.thoughts == "first"
        self.generation, self.server = options.generation, options.server
        self.max_prompt_tokens = config.context.max_prompt_tokens
        self.teacher = open_teacher(options.server)
        self.builder = QueryBuilder(base, config.context, options.generation)
        self.counts: Counter[str] = Counter()
        self.settings: dict[str, Any] = {
            **student_settings(options, config),
            "backend": "endpoint",
            "server": provenance.content_hash(options.server.teacher),  # the address itself may be private
            "model": options.server.model,
            "max_tokens": options.server.max_tokens,
        }
        self.measured: dict[str, Any] = {}
        self.gives_probabilities = options.generation.samples > 1
        folder, self.fits_kb = options.metadata, False
        self.seen = SeenSessions.read(folder) if folder else SeenSessions()

    def predict(self, sessions: Sequence[Session]) -> list[Prediction]:
        """See `Predictor`; KdbError where a session has no answer (yet).

        A request that the server rejects is an answer that failed.
        """
        threads = self.server.concurrency
        asked = ordered_map(
            self.builder.queries(sessions), lambda own: lambda: self._attempt(own), threads, window=8 * threads
        )
        found = [one for _, one in asked]
        answered = [one for one in found if one is not None]
        if len(answered) < len(found):
            finish(self.teacher, len(found) - len(answered), len(found))
        self.counts.update(one.status for one in answered)
        return answered

    def close(self) -> None:
        """Say what that took, and how many answers were of another form than asked for."""
        finish(self.teacher, 0, self.counts.total())
        if other := self.counts["repaired"] + self.counts["failed"]:
            failed = f"{self.counts['failed']} failed, {self.counts['repaired']} repaired"
            console.say(f"{other} of {self.counts.total()} answers were in another form than asked for: {failed}")

    def _attempt(self, queries: Sequence[Query]) -> Prediction | None:
        session = queries[0].session
        try:
            return aggregate([self._ask(query) for query in queries], self.generation.aggregate)
        except Unanswered as error:
            if isinstance(error, RequestFailed):
                console.say(f"session {session.id!r} has no answer: {error}")
            return Prediction.of(session, [], "failed") if isinstance(error, RequestInvalid) else None

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
