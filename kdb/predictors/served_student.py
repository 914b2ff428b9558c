"""A student that a server has, asked through the layers of a teacher's: cache, budget, limits, retries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from kdb import console
from kdb.io import provenance
from kdb.predictors.options import InferOptions, student_settings
from kdb.predictors.student import QueryBuilder
from kdb.prompts.messages import Query
from kdb.records import Prediction, Session
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student.config import StudentConfig
from kdb.student.seen_sessions import SeenSessions
from kdb.teacher import RequestFailed, RequestInvalid, Teacher, Unanswered
from kdb.teacher.cached import finish
from kdb.teacher.ordered_map import ordered_map

Said = TypeVar("Said")


class ServedStudent(ABC, Generic[Said]):
    """Predicts by what a server says (`Said`) to the queries about a session."""

    gives_probabilities = True

    def __init__(self, options: InferOptions, base: KnowledgeBase, config: StudentConfig, teacher: Teacher) -> None:
        assert options.server
        self.server, self.teacher = options.server, teacher
        self.builder = QueryBuilder(base, config.context, options.generation)
        self.counts: Counter[str] = Counter()
        self.settings: dict[str, Any] = {
            **student_settings(options, config),
            "backend": "endpoint",
            "server": provenance.content_hash(options.server.teacher),  # the address itself may be private
            "model": options.server.model,
        }
        self.measured: dict[str, Any] = {}
        folder, self.fits_kb = options.metadata, False
        self.seen = SeenSessions.read(folder) if folder else SeenSessions()

    def predict(self, sessions: Sequence[Session]) -> list[Prediction]:
        """See `Predictor`; KdbError where a session has no answer (yet).

        A request that the server rejects is an answer that failed.
        """
        threads = self.server.concurrency
        asked = ordered_map(self.builder.queries(sessions), self._job, threads, window=8 * threads)
        found = [one for queries, said in asked if (one := self._prediction(queries, said))]
        if len(found) < len(sessions):
            finish(self.teacher, len(sessions) - len(found), len(sessions))
        self.counts.update(one.status for one in found)
        return found

    def close(self) -> None:
        """Say what that took."""
        finish(self.teacher, 0, self.counts.total())

    @abstractmethod
    def _asking(self, queries: Sequence[Query]) -> Callable[[], Said]:
        """What asks the server about one session; it may run beside others."""

    @abstractmethod
    def _decoded(self, queries: Sequence[Query], said: Said) -> Prediction:
        """The prediction for one session."""

    def _job(self, queries: Sequence[Query]) -> Callable[[], Said | Unanswered]:
        ask = self._asking(queries)

        def job() -> Said | Unanswered:
            try:
                return ask()
            except Unanswered as error:
                return error

        return job

    def _prediction(self, queries: Sequence[Query], said: Said | Unanswered | None) -> Prediction | None:
        session = queries[0].session
        if isinstance(said, RequestFailed):
            console.say(f"session {session.id!r} has no answer: {said}")
            return Prediction.of(session, [], "failed") if isinstance(said, RequestInvalid) else None
        return None if said is None or isinstance(said, Unanswered) else self._decoded(queries, said)
