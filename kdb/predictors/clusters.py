"""Clusters of titles: average linkage on distances between items, cut at a threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Self

import numpy as np

from kdb import console
from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.containment import precision
from kdb.evaluation.metrics.matching import matched_f1
from kdb.predictors.baseline import Baseline, BaselineConfig, item_ids
from kdb.records import Bundle, Session
from kdb.retrieval.embedder import Embedder, cosines
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student.seen_sessions import SeenSessions

N_THRESHOLDS = 60
UNTUNED_THRESHOLD = 0.75
"""The cosine distance at which clusters are cut where no session is annotated: near the best of the public data."""

Distances = Callable[[Session], np.ndarray]
"""Of each pair of two or more items, in the order of `itertools.combinations`."""


class Clusters(Baseline):
    """Clusters by the cosine of titles. Without annotated sessions the threshold is UNTUNED_THRESHOLD."""

    def __init__(self, distances: Distances, threshold: float) -> None:
        self.distances, self.threshold = distances, threshold

    @classmethod
    def fit(cls, base: KnowledgeBase, config: BaselineConfig) -> Self:
        """See `Baseline`. The threshold is the best of the validation sessions, or of the training sessions."""
        embedder = config.text_embedder

        def distances(session: Session) -> np.ndarray:
            return 1 - pair_cosines(embedder, session)

        sessions = tuning_sessions(base)
        if not sessions:
            console.say(f"no annotated session: clusters are cut at a cosine distance of {UNTUNED_THRESHOLD}")
            return cls(distances, UNTUNED_THRESHOLD)
        return cls._tuned(distances, sessions, config.utility)

    @classmethod
    def _tuned(cls, distances: Distances, sessions: Sequence[Session], utility: str) -> Self:
        trees = [_tree(session, distances) for session in sessions]
        heights = np.concatenate([tree[:, 2] for tree in trees])

        def mean_utility(height: float) -> float:
            cuts = [_cut(session, tree, height) for session, tree in zip(sessions, trees, strict=True)]
            return float(np.mean([utility_of(s, cut, utility) for s, cut in zip(sessions, cuts, strict=True)]))

        thresholds = np.unique(np.quantile(heights, np.linspace(0, 1, N_THRESHOLDS)))
        found = cls(distances, float(max(thresholds, key=mean_utility)))
        found.seen = SeenSessions.of([], sessions)
        return found

    @property
    def settings(self) -> dict[str, Any]:
        """See `Baseline`."""
        return {"threshold": round(float(self.threshold), 6)}

    def bundles(self, session: Session) -> list[Bundle]:
        """See `Baseline`: the clusters of two or more items."""
        return [Bundle(group) for group in _cut(session, _tree(session, self.distances), self.threshold)]


def pair_cosines(embedder: Embedder, session: Session) -> np.ndarray:
    """The cosine of the titles of each pair, in the order of `itertools.combinations`."""
    vectors = embedder.encode([item.title for item in session.items])
    return cosines(vectors, vectors)[_above_diagonal(len(vectors))].astype(float)


@lru_cache(256)
def _above_diagonal(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(size, 1)


def tuning_sessions(base: KnowledgeBase) -> list[Session]:
    """The sessions on which a threshold is chosen: validation, or training where there is none."""
    validation = [session for session in base.validation if len(session.items) > 1]
    training = [session for session in base.training if len(session.items) > 1]
    if training and not validation:
        console.warn("no validation session in --kb: the threshold is chosen on the training sessions")
    return validation or training


def utility_of(session: Session, predicted: Sequence[Sequence[str]], utility: str) -> float:
    """What the utility says of one session: matched F1 or strict precision."""
    matched = MatchedSession(predicted, [bundle.items for bundle in session.truth or []], item_ids(session))
    return precision(matched) if utility == "precision" else matched_f1(matched)


def _tree(session: Session, distances: Distances) -> np.ndarray:
    from scipy.cluster.hierarchy import linkage

    return linkage(distances(session), "average") if len(session.items) > 1 else np.zeros((0, 4))


def _cut(session: Session, tree: np.ndarray, threshold: float) -> list[list[str]]:
    """The clusters of two or more items after all merges of the tree up to a height, each in the session's order.

    (SciPy's `fcluster` gives the same, but spends more time on checking a tree of a few items than on cutting it.)
    """
    groups = {n: [n] for n in range(len(tree) + 1)}
    for number, (one, other, height, _) in enumerate(tree, len(groups)):
        if height <= threshold:
            groups[number] = groups.pop(int(one)) + groups.pop(int(other))
    ids = item_ids(session)
    found = sorted(sorted(group) for group in groups.values() if len(group) > 1)
    return [[ids[n] for n in group] for group in found]
