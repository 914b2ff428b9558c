"""The partition model on pair features of titles, categories and patterns: what the student has to add to."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from kdb import console
from kdb.partitions import calibration, crf, mbr, pair_features
from kdb.partitions.calibration import Calibration
from kdb.partitions.pair_features import PairFeatures
from kdb.predictors.baseline import Baseline, BaselineConfig, Needs, item_ids, true_groups
from kdb.records import Bundle, Session
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student.seen_sessions import SeenSessions


class PartitionCrf(Baseline):
    """The bundles of the least Bayes risk, each with a calibrated probability to lie within a true one."""

    needs: ClassVar[Needs] = "sessions"
    gives_probabilities: ClassVar[bool] = True

    def __init__(self, features: PairFeatures, weights: crf.Weights, calibrate: Calibration, utility: str) -> None:
        self.features, self.weights, self.calibrate, self.utility = features, weights, calibrate, utility
        self._items_beyond = 0

    @classmethod
    def fit(cls, base: KnowledgeBase, config: BaselineConfig) -> Self:
        """See `Baseline`. Everything is fitted on the training sessions, the calibration out of fold."""
        features, pairs = pair_features.fit(config.text_embedder, base.training)
        truth = [true_groups(session) for session in base.training]
        weights = crf.fit(pairs, truth)
        found = cls(features, weights, calibration.cross_fit(pairs, truth, weights, config.utility), config.utility)
        found.seen = SeenSessions.of(base.training, [])
        return found

    @property
    def settings(self) -> dict[str, Any]:
        """See `Baseline`."""
        return {
            "calibration": {
                "slope": round(self.calibrate.slope, 4),
                "intercept": round(self.calibrate.intercept, 4),
            }
        }

    def bundles(self, session: Session) -> list[Bundle]:
        """See `Baseline`. Items beyond `crf.MAX_ITEMS` are in no bundle, and counted."""
        self._items_beyond += max(0, len(session.items) - crf.MAX_ITEMS)
        ids = item_ids(session)[: crf.MAX_ITEMS]
        pairs = self.features.pairs(session.items[: crf.MAX_ITEMS])
        return [
            Bundle([ids[n] for n in own.positions], probability=round(self.calibrate(own.probability), 6))
            for own in mbr.decode(pairs, self.weights, self.utility)
        ]

    def close(self) -> None:
        """See `Baseline`."""
        if self._items_beyond:
            console.warn(f"{self._items_beyond} items after a session's first {crf.MAX_ITEMS} are in no bundle")
