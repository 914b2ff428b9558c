"""Mined patterns of categories, matched with the inferred categories of a session's items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from kdb.errors import UsageError
from kdb.predictors.baseline import Baseline, BaselineConfig, Needs, item_ids
from kdb.records import Bundle, Knowledge, Session
from kdb.retrieval.association_rules import SEPARATOR
from kdb.retrieval.embedder import Embedder, nearest
from kdb.retrieval.knowledge_base import KnowledgeBase

N_NEIGHBORS = 5
"""So many training items vote on an item's category."""


class PatternMatching(Baseline):
    """Groups items whose categories form a mined pattern, the most confident pattern first.

    An item's category is that of the training items with the nearest titles; its own is never read, and a training
    item's only where one of its session's bundles holds it: elsewhere it may come of another session's answer.
    """

    needs: ClassVar[Needs] = "patterns"

    def __init__(self, embedder: Embedder, known: Sequence[Session], mined: Sequence[Knowledge]) -> None:
        self.embedder = embedder
        self.domains = {pattern.domain: self._domain(pattern.domain, known, mined) for pattern in mined}

    @classmethod
    def fit(cls, base: KnowledgeBase, config: BaselineConfig) -> Self:
        """See `Baseline`."""
        mined = [k for k in base.knowledge if k.format == "pattern" and k.antecedent and k.consequent]
        if not mined:
            raise UsageError("no pattern in --kb", "kdb extract pattern sessions.jsonl > kb.jsonl")
        return cls(config.text_embedder, [*base.training, *base.validation], mined)

    def bundles(self, session: Session) -> list[Bundle]:
        """See `Baseline`: disjoint groups; each pattern takes all items of its categories that are left."""
        if session.domain not in self.domains:
            return []
        vectors, categories, mined = self.domains[session.domain]
        found = nearest(self.embedder.encode([item.title for item in session.items]), vectors, N_NEIGHBORS)
        inferred = [Counter(categories[n] for n in row).most_common(1)[0][0] for row in found]
        left = dict(zip(item_ids(session), inferred, strict=True))
        bundles = []
        for pattern in mined:
            if pattern <= Counter(left.values()):
                bundles.append(Bundle([item for item, category in left.items() if category in pattern]))
                left = {item: category for item, category in left.items() if category not in pattern}
        return bundles

    def _domain(
        self, domain: str, known: Sequence[Session], mined: Sequence[Knowledge]
    ) -> tuple[np.ndarray, list[str], list[Counter[str]]]:
        """The vectors and categories of the training items, and the patterns as counts of categories."""
        own = [p for p in mined if p.domain == domain]
        wanted = [Counter([*(p.antecedent or []), *(p.consequent or [])]) for p in own]
        level = max(name.count(SEPARATOR) + 1 for pattern in wanted for name in pattern)
        items = {}
        for session in known:
            bundled = {i for bundle in session.truth or [] for i in bundle.items}
            if session.domain == domain:
                items.update({item.title: item for item in session.items if item.category and item.id in bundled})
        if not items:
            raise UsageError(
                f"no bundled item of {domain!r} in --kb has a category", "pattern-matching needs categories"
            )
        paths = (item.category_path(level) or () for item in items.values())
        return self.embedder.encode(list(items)), [SEPARATOR.join(path) for path in paths], wanted
