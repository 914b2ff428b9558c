"""A student of the answer format `pairs` whose language model is behind a server of token states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdb import console
from kdb.errors import UsageError
from kdb.io import provenance
from kdb.predictors.options import InferOptions, student_settings
from kdb.predictors.student import QueryBuilder
from kdb.records import Prediction, Session
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student import export_probe
from kdb.student.methods.build import refuse_sampling
from kdb.student.methods.pairs import PairMethod
from kdb.student.pairwise.served_encoder import ServedEncoder
from kdb.student.seen_sessions import SeenSessions
from kdb.teacher.token_states import TokenStateServer

WITHOUT_EFFECT = ("max_tokens", "cache", "budget", "max_requests", "extra_body", "rpm", "tpm", "prices")


class ServedPairs:
    """Asks a server for the states of a session's tokens, and decides here.

    UsageError where the student is not one that `kdb export --format encoder` or gguf wrote, KdbError where the
    server has another model.
    """

    def __init__(self, options: InferOptions, base: KnowledgeBase) -> None:
        assert options.server
        config, folder = options.config, options.metadata
        if folder is None or options.adapter:
            raise UsageError(
                "a server has no adapter of the answer format pairs",
                "kdb export --adapter ADAPTER --format encoder -o FOLDER, serve it, pass --student FOLDER",
            )
        for name in WITHOUT_EFFECT:
            if name in options.given:
                raise UsageError(f"{name} has no effect on a server that answers no text", "leave it out")
        refuse_sampling(config.method, options.generation)
        server = TokenStateServer(options.server)
        encoder = ServedEncoder(Path(options.student), server.states)
        self.method = PairMethod(None, config.method, config.context, encoder)
        self.method.load(folder)
        if encoder in self.method.learners:
            difference = export_probe.check(encoder.log_odds([export_probe.TITLES])[0], folder, server.name)
            console.say(f"{server.name} gives token states; log odds differ by at most {difference:.2g}")
        else:
            console.say(f"the student has no weight in {options.student}: {server.name} is not asked")
        if config.method.intents:
            console.say("no intents: a server of token states writes nothing")
        self.builder = QueryBuilder(base, config.context, options.generation)
        self.settings: dict[str, Any] = {
            **student_settings(options, config),
            "backend": "endpoint",
            "server": provenance.content_hash(options.server.teacher),  # the address itself may be private
            "model": options.server.model,
        }
        self.measured: dict[str, Any] = {}
        self.seen, self.fits_kb, self.gives_probabilities = SeenSessions.read(folder), False, True
        self.batch_size = options.batch_size

    def predict(self, sessions: Sequence[Session]) -> list[Prediction]:
        """See `Predictor`."""
        return self.method.predict(self.builder.queries(sessions), self.batch_size)

    def close(self) -> None:
        """See `Predictor`."""
