"""A classifier of pairs by what the embedder says of their titles, and clusters of what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from kdb.predictors.baseline import BaselineConfig, Needs, co_bundled_pairs
from kdb.predictors.clusters import Clusters, pair_cosines, tuning_sessions
from kdb.records import Session
from kdb.retrieval.embedder import Embedder
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student.seen_sessions import SeenSessions


class PairClassifier(Clusters):
    """Clusters whose distance is 1 - the probability that two items share a bundle."""

    needs: ClassVar[Needs] = "sessions"

    @classmethod
    def fit(cls, base: KnowledgeBase, config: BaselineConfig) -> Self:
        """See `Baseline`."""
        model = PairProbability(config.text_embedder, base.training, config.seed)
        found = cls._tuned(model.distances, tuning_sessions(base), config.utility)
        found.seen = SeenSessions.of(base.training, base.validation)
        return found


class PairProbability:
    """Boosted trees on what the embedder says of two titles: the probability that they share a bundle.

    The features of a pair are its cosine, its rank among the session's pairs, its distance from their mean,
    and the session's size. More features, other settings and logistic regression came within 0.01 matched F1
    on the validation split of Electronic.
    """

    def __init__(self, embedder: Embedder, training: Sequence[Session], seed: int) -> None:
        from sklearn.ensemble import GradientBoostingClassifier

        self.embedder = embedder
        # Not the histogram variant: it is no better here, and its threads make single sessions slow.
        self.model = GradientBoostingClassifier(random_state=seed)
        features = np.concatenate([self._features(session) for session in training])
        together = np.concatenate([co_bundled_pairs(session) for session in training])
        self._constant = float(together.mean()) if together.all() or not together.any() else None
        if self._constant is None:
            self.model.fit(features, together)

    def distances(self, session: Session) -> np.ndarray:
        """1 - the probability of each pair of two or more items."""
        features = self._features(session)
        if self._constant is not None:
            return np.full(len(features), 1 - self._constant)
        return 1 - self.model.predict_proba(features)[:, 1]

    def _features(self, session: Session) -> np.ndarray:
        cosine = pair_cosines(self.embedder, session)
        if not len(cosine):
            return np.zeros((0, 4))
        rank = np.argsort(np.argsort(-cosine, kind="stable"), kind="stable") / len(cosine)
        size = np.full(len(cosine), float(len(session.items)))
        return np.column_stack([cosine, rank, cosine - cosine.mean(), size])
