"""The partition model without a student: what the student has to add to."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from kdb import console
from kdb.partitions import crf, mbr
from kdb.predictors.baseline import Baseline, BaselineConfig, Needs, item_ids
from kdb.predictors.finetuned_embedder import NAME
from kdb.records import Bundle, Session
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student.pairwise import stack
from kdb.student.pairwise.stack import PairStack
from kdb.student.pairwise.title_encoder import maker
from kdb.student.pairwise.training import FitSettings
from kdb.student.seen_sessions import SeenSessions


class PartitionCrf(Baseline):
    """The bundles of the least Bayes risk, each with a calibrated probability to lie within a true one.

    The model reads titles, inferred categories, patterns, and the log odds of the fine-tuned embedder.
    """

    needs: ClassVar[Needs] = "sessions"
    gives_probabilities: ClassVar[bool] = True
    tunes_embedder: ClassVar[bool] = True

    def __init__(self, model: PairStack, utility: str) -> None:
        self.model, self.utility = model, utility
        self._items_beyond = 0

    @classmethod
    def fit(cls, base: KnowledgeBase, config: BaselineConfig) -> Self:
        """See `Baseline`. Everything is fitted on the training sessions: learners and calibration out of fold."""
        embedder = config.text_embedder
        makers = {NAME: maker(embedder.name, FitSettings(seed=config.seed))} if cls.tunes_embedder else {}
        model, _ = stack.fit(embedder, base.training, makers, utility=config.utility, labels=base.labels)
        found = cls(model, config.utility)
        found.seen = SeenSessions.of(base.training, [])
        return found

    @property
    def settings(self) -> dict[str, Any]:
        """See `Baseline`."""
        own = self.model.calibrate
        return {"calibration": {"slope": round(own.slope, 4), "intercept": round(own.intercept, 4)}}

    def bundles(self, session: Session) -> list[Bundle]:
        """See `Baseline`. Items beyond `crf.MAX_ITEMS` are in no bundle, and counted."""
        self._items_beyond += max(0, len(session.items) - crf.MAX_ITEMS)
        ids = item_ids(session)[: crf.MAX_ITEMS]
        pairs = self.model.pairs([session.items])[0]
        return [
            Bundle([ids[n] for n in own.positions], probability=round(self.model.calibrate(own.probability), 6))
            for own in mbr.decode(pairs, self.model.weights, self.utility)
        ]

    def close(self) -> None:
        """See `Baseline`."""
        if self._items_beyond:
            console.warn(f"{self._items_beyond} items after a session's first {crf.MAX_ITEMS} are in no bundle")


class FrozenPartitionCrf(PartitionCrf):
    """The same without the fine-tuned embedder: fitted in seconds."""

    tunes_embedder: ClassVar[bool] = False
