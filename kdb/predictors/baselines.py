"""What needs no LLM: the opponents that every student has to beat (`kdb infer --baseline NAME`).

They see a session's item ids and titles, nothing else: in the public data an item has a category if and
only if it is in a bundle, so reading the categories would be reading the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Protocol

import numpy as np

from kdb import console, registry
from kdb.errors import UsageError
from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.containment import precision
from kdb.evaluation.metrics.matching import matched_f1
from kdb.extraction import association_rules as patterns
from kdb.partitions import crf, mbr, pair_features
from kdb.prompts.messages import positions
from kdb.records import Knowledge, Session
from kdb.retrieval.embedder import Embedder, cosines, nearest

Bundles = list[list[str]]
THRESHOLDS = 60
NEIGHBOURS = 5
"""So many training items vote on an item's category."""


class Baseline(Protocol):
    """Predicts bundles of item ids from the titles of a session."""

    def bundles(self, session: Session) -> Bundles:
        """The predicted bundles, two or more items each; there may be none."""


class WholeSession:
    """One bundle of everything."""

    def bundles(self, session: Session) -> Bundles:
        """All items."""
        ids = [item.id for item in session.items]
        return [ids] if len(ids) > 1 else []


class AllPairs:
    """Every pair is a bundle: no answer has a higher recall under the released protocol."""

    def bundles(self, session: Session) -> Bundles:
        """All pairs, in item order."""
        return [list(pair) for pair in combinations([item.id for item in session.items], 2)]


class Clusters:
    """Average linkage on distances between items, cut where it served the tuning sessions best."""

    def __init__(
        self, distances: Callable[[Session], np.ndarray], tuning: Sequence[Session], objective: str
    ) -> None:
        self.distances = distances
        trees = [self._tree(session) for session in tuning]
        heights = np.concatenate([tree[:, 2] for tree in trees])

        def worth(height: float) -> float:
            cuts = [_cut(session, tree, height) for session, tree in zip(tuning, trees, strict=True)]
            return float(np.mean([utility_of(s, cut, objective) for s, cut in zip(tuning, cuts, strict=True)]))

        self.threshold = max(np.unique(np.quantile(heights, np.linspace(0, 1, THRESHOLDS))), key=worth)

    def bundles(self, session: Session) -> Bundles:
        """The clusters of two or more items."""
        return _cut(session, self._tree(session), self.threshold)

    def _tree(self, session: Session) -> np.ndarray:
        from scipy.cluster.hierarchy import linkage

        single = len(session.items) < 2
        return np.zeros((0, 4)) if single else linkage(self.distances(session), "average")


def _cut(session: Session, tree: np.ndarray, threshold: float) -> Bundles:
    from scipy.cluster.hierarchy import fcluster

    if not len(tree):
        return []
    groups: dict[int, list[str]] = {}
    for identity, label in zip(_ids(session), fcluster(tree, threshold, "distance"), strict=True):
        groups.setdefault(int(label), []).append(identity)
    return [group for group in groups.values() if len(group) > 1]


def utility_of(session: Session, predicted: Bundles, objective: str) -> float:
    """What the objective says of one session: matched F1 or strict precision."""
    matched = MatchedSession(predicted, [bundle.items for bundle in session.truth or []], _ids(session))
    return precision(matched) if objective == "precision" else matched_f1(matched)


class PairClassifier:
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
        self.model.fit(features, np.concatenate([_together(session) for session in training]))

    def distances(self, session: Session) -> np.ndarray:
        """1 - the probability of each pair of two or more items."""
        return 1 - self.model.predict_proba(self._features(session))[:, 1]

    def _features(self, session: Session) -> np.ndarray:
        cosine = pair_cosines(self.embedder, session)
        if not len(cosine):
            return np.zeros((0, 4))
        rank = np.argsort(np.argsort(-cosine, kind="stable"), kind="stable") / len(cosine)
        size = np.full(len(cosine), float(len(session.items)))
        return np.column_stack([cosine, rank, cosine - cosine.mean(), size])


def pair_cosines(embedder: Embedder, session: Session) -> np.ndarray:
    """The cosine of the titles of each pair, in the order of `itertools.combinations`."""
    vectors = embedder.encode([item.title for item in session.items])
    return cosines(vectors, vectors)[np.triu_indices(len(vectors), 1)].astype(float)


def _together(session: Session) -> np.ndarray:
    bundles = [set(bundle.items) for bundle in session.truth or []]
    pairs = combinations(_ids(session), 2)
    return np.array([any({a, b} <= bundle for bundle in bundles) for a, b in pairs], dtype=bool)


def _ids(session: Session) -> list[str]:
    return [item.id for item in session.items]


class Patterns:
    """Groups items whose categories form a mined pattern, the most confident pattern first.

    An item's category is that of the training items with the nearest titles; its own is never read.
    """

    def __init__(self, embedder: Embedder, kb: Sequence[Session], mined: Sequence[Knowledge]) -> None:
        self.embedder = embedder
        self.domains = {pattern.domain: self._domain(pattern.domain, kb, mined) for pattern in mined}

    def bundles(self, session: Session) -> Bundles:
        """Disjoint groups: each pattern takes all items of its categories that are left."""
        if session.domain not in self.domains:
            return []
        vectors, categories, mined = self.domains[session.domain]
        found = nearest(self.embedder.encode([item.title for item in session.items]), vectors, NEIGHBOURS)
        inferred = [Counter(categories[n] for n in row).most_common(1)[0][0] for row in found]
        left = dict(zip(_ids(session), inferred, strict=True))
        groups = []
        for pattern in mined:
            if pattern <= Counter(left.values()):
                group = [identity for identity, category in left.items() if category in pattern]
                groups.append(group)
                left = {i: c for i, c in left.items() if c not in pattern}
        return groups

    def _domain(
        self, domain: str, kb: Sequence[Session], mined: Sequence[Knowledge]
    ) -> tuple[np.ndarray, list[str], list[Counter[str]]]:
        """The vectors and categories of the training items, and the patterns as counts of categories."""
        own = [p for p in mined if p.domain == domain]
        wanted = [Counter([*(p.antecedent or []), *(p.consequent or [])]) for p in own]
        level = max(name.count(patterns.SEPARATOR) + 1 for pattern in wanted for name in pattern)
        items = {item.title: item for s in kb if s.domain == domain for item in s.items if item.category}
        if not items:
            raise UsageError(f"no item of {domain!r} in --kb has a category", "pattern-matching needs them")
        paths = (item.category_path(level) or () for item in items.values())
        return self.embedder.encode(list(items)), [patterns.SEPARATOR.join(path) for path in paths], wanted


class PartitionCrf:
    """The decision rule of the answer format `pairs` without a student: what the student has to add to."""

    def __init__(self, embedder: Embedder, training: Sequence[Session], objective: str) -> None:
        self.objective = objective
        self.evidence, pairs = pair_features.fit(embedder, training)
        truth = [positions(session.items, session.truth or []) for session in training]
        self.weights = crf.fit(pairs, truth)

    def bundles(self, session: Session) -> Bundles:
        """The bundles with the least expected loss."""
        ids = _ids(session)
        found = mbr.decode(self.evidence.pairs(session.items), self.weights, self.objective)
        return [[ids[n] for n in bundle.positions] for bundle in found]


NAMES = ("whole-session", "all-pairs", "clusters", "pattern-matching", "pair-classifier", "partition-crf")
RENAMED = {"patterns": "pattern-matching", "posterior": "partition-crf"}
"""Names of version 1."""
NEED_KB = frozenset(NAMES[2:])
"""The baselines that learn from annotated sessions or knowledge."""


def build(
    name: str, kb: Sequence[Session], knowledge: Sequence[Knowledge], objective: str = "f1", seed: int = 0
) -> Baseline:
    """The baseline of this name. `kb`: annotated training and validation sessions.

    UsageError where the name is unknown or what it needs is missing.
    """
    _check(name, kb, objective)
    if name == "whole-session":
        return WholeSession()
    if name == "all-pairs":
        return AllPairs()
    embedder = Embedder()
    if name == "pattern-matching":
        mined = [k for k in knowledge if k.format == "pattern" and k.antecedent and k.consequent]
        if not mined:
            raise UsageError("no pattern in --kb", "kdb extract pattern sessions.jsonl > kb.jsonl")
        return Patterns(embedder, kb, mined)
    training = [session for session in kb if session.split != "validation"]
    if name == "clusters":
        return Clusters(lambda session: 1 - pair_cosines(embedder, session), _tuning(kb), objective)
    if not any(_together(session).any() for session in training):
        raise UsageError("no training session with a bundle in --kb", "import with --split train,validation")
    if name == "partition-crf":
        return PartitionCrf(embedder, training, objective)
    return Clusters(PairClassifier(embedder, training, seed).distances, _tuning(kb), objective)


def _check(name: str, kb: Sequence[Session], objective: str) -> None:
    if name in RENAMED:
        raise UsageError(f"baseline {name!r} does not exist", f"it is called {RENAMED[name]!r} now")
    registry.check(NAMES, name, "baseline")
    if objective not in mbr.UTILITIES:
        raise UsageError(f"no objective {objective!r}", f"one of {', '.join(mbr.UTILITIES)}")
    if name in NEED_KB and not kb:
        raise UsageError(f"the baseline {name!r} needs annotated sessions", "pass them with --kb")


def _tuning(kb: Sequence[Session]) -> list[Session]:
    """The sessions on which a threshold is chosen: validation, or training where there is none."""
    usable = [session for session in kb if len(session.items) > 1]
    validation = [session for session in usable if session.split == "validation"]
    if not validation:
        console.warn("no validation session in --kb: the threshold is chosen on the training sessions")
    return validation or usable
