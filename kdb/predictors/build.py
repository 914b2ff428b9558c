"""The predictor that the options of `kdb infer` ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kdb import registry
from kdb.predictors import SERVED, Predictor
from kdb.predictors.options import InferOptions
from kdb.records import Prediction, Session
from kdb.retrieval.knowledge_base import KnowledgeBase

Build = Callable[[InferOptions, KnowledgeBase], Predictor]


def build(options: InferOptions, base: KnowledgeBase) -> Predictor:
    """The predictor, its models loaded."""
    if options.baseline:
        return BaselinePredictor(options, base)
    if options.server:
        from kdb.student.methods.build import answer_class

        served: Build = registry.load(SERVED, answer_class(options.config.method).served_as)
        return served(options, base)
    from kdb.predictors.student import StudentPredictor

    return StudentPredictor(options, base)


class BaselinePredictor:
    """A baseline, fitted on the annotated sessions of a knowledge base."""

    def __init__(self, options: InferOptions, base: KnowledgeBase) -> None:
        from kdb.predictors import baseline

        config = baseline.BaselineConfig(options.method.utility, options.generation.seed, options.context.embedder)
        self.model = baseline.build(options.baseline, base, config)
        self.settings: dict[str, Any] = {
            "baseline": options.baseline,
            "utility": config.utility,
            **({"embedder": config.embedder} if self.model.embeds else {}),
            **self.model.settings,
        }
        self.measured: dict[str, Any] = {}
        self.seen, self.fits_kb = self.model.seen, True
        self.gives_probabilities = self.model.gives_probabilities

    def predict(self, sessions: Sequence[Session]) -> list[Prediction]:
        """See `Predictor`."""
        return [Prediction.of(session, self.model.bundles(session)) for session in sessions]

    def close(self) -> None:
        """See `Predictor`."""
        self.model.close()
