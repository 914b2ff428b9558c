"""The fine-tuned embedder as a baseline: clusters of what it says of pairs, and its place in the cache."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from kdb.predictors.baseline import BaselineConfig, Needs
from kdb.predictors.clusters import Clusters, tuning_sessions
from kdb.records import Session
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student.pairwise import stack
from kdb.student.pairwise.title_encoder import maker
from kdb.student.pairwise.training import FitSettings
from kdb.student.seen_sessions import SeenSessions

NAME = "embedder"


class FinetunedEmbedder(Clusters):
    """Clusters whose distance is 1 - the probability that two items share a bundle, by the fine-tuned embedder."""

    needs: ClassVar[Needs] = "sessions"

    @classmethod
    def fit(cls, base: KnowledgeBase, config: BaselineConfig) -> Self:
        """See `Baseline`."""
        made = maker(config.text_embedder.name, FitSettings(seed=config.seed))
        learner, _ = stack.trained(NAME, made, stack.pair_targets(base.training, base.labels))

        def distances(session: Session) -> np.ndarray:
            odds = learner.log_odds([[item.title for item in session.items]])[0]
            return 1 / (1 + np.exp(odds[np.triu_indices(len(odds), 1)].astype(float)))

        found = cls._tuned(distances, tuning_sessions(base), config.utility)
        found.seen = SeenSessions.of(base.training, base.validation)
        return found
