"""Baselines that learn nothing."""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar, Self

from kdb.predictors.baseline import Baseline, BaselineConfig, item_ids
from kdb.records import Bundle, Session
from kdb.retrieval.knowledge_base import KnowledgeBase


class WholeSession(Baseline):
    """One bundle of everything."""

    embeds: ClassVar[bool] = False

    @classmethod
    def fit(cls, base: KnowledgeBase, config: BaselineConfig) -> Self:
        """See `Baseline`."""
        return cls()

    def bundles(self, session: Session) -> list[Bundle]:
        """See `Baseline`."""
        ids = item_ids(session)
        return [Bundle(ids)] if len(ids) > 1 else []


class AllPairs(Baseline):
    """Every pair is a bundle: no answer has a higher recall under the released protocol."""

    embeds: ClassVar[bool] = False

    @classmethod
    def fit(cls, base: KnowledgeBase, config: BaselineConfig) -> Self:
        """See `Baseline`."""
        return cls()

    def bundles(self, session: Session) -> list[Bundle]:
        """See `Baseline`."""
        return [Bundle(list(pair)) for pair in combinations(item_ids(session), 2)]
