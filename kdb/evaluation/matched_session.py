"""One session's predicted bundles beside its true ones, matched once: what every metric counts.

Bundles are sets of item ids, so the order and the repetition of items or bundles change nothing. A predicted
bundle is *valid* if it holds two or more items and all of them are in the session. An invalid one still
counts as predicted, and never as right: a model gains nothing by inventing items.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations, permutations

from msgspec import UnsetType

from kdb.records import Bundle, Match, Prediction, Session

Bundles = Sequence[Collection[str]]
Sets = list[frozenset[str]]
Pairing = list[tuple[int, int, float]]
"""Matched bundles: the places of the predicted and of the true one, and their Jaccard similarity."""

MAX_PERMUTATIONS = 24
"""So many ways to match bundles are tried one by one, which is as fast as SciPy and needs no import of it."""
DIGITS = 6


class MatchedSession:
    """A session's distinct predicted bundles (those that are `valid` among them) and true ones.

    `truth` are the true bundles as they were given: the released protocol depends on their order. A session
    without a prediction has `prediction` None and counts as failed.
    """

    def __init__(
        self,
        predicted: Bundles,
        truth: Bundles,
        items: Collection[str],
        failed: bool = False,
        prediction: Prediction | None = None,
    ) -> None:
        self.predicted, self.true, self.truth = bundle_sets(predicted), bundle_sets(truth), truth
        self.items = frozenset(items)
        self.valid = [p for p in self.predicted if len(p) > 1 and p <= self.items]
        self.failed, self.prediction = failed, prediction
        self.pairing = match(self.valid, self.true)
        """The one-to-one matching of valid and true bundles with the largest sum of Jaccard similarities."""
        self.hit_shares = [shares for p in self.valid if (shares := [len(p) / len(g) for g in self.true if p <= g])]
        """For each hit, a valid bundle within a true one, its share |p| / |g| of each true bundle around it."""
        self.predicted_pairs, self.true_pairs = co_bundled(self.valid), co_bundled(self.true)
        """The item pairs that share a valid bundle, and those that share a true one."""
        self.probabilities = self._probabilities()
        """For each predicted bundle that has a probability, it and whether the bundle is a hit."""

    @classmethod
    def of(cls, prediction: Prediction) -> MatchedSession:
        """The session of a prediction with a truth; a failed one has no bundles, whatever it says."""
        failed = prediction.status == "failed"
        predicted = [] if failed else [bundle.items for bundle in prediction.bundles]
        truth = [bundle.items for bundle in prediction.truth or []]
        return cls(predicted, truth, prediction.items, failed, prediction)

    @classmethod
    def missing(cls, session: Session) -> MatchedSession:
        """An annotated session that a run has no prediction for."""
        truth = [bundle.items for bundle in session.truth or []]
        return cls([], truth, [item.id for item in session.items], failed=True)

    @property
    def identity(self) -> int:
        """A hash of the items and the true bundles, the same within one process: what was to be predicted."""
        return hash((self.items, frozenset(self.true)))

    @property
    def is_rightly_empty(self) -> bool:
        """Whether there is no true bundle and a run that did not fail predicts none: such a session scores 1."""
        return not self.predicted and not self.true and not self.failed

    @property
    def matches(self) -> list[Match]:
        """The matched pairs of bundles, then the predicted and the true ones that found no partner."""
        pairs = [(self.valid[p], self.true[t], j) for p, t, j in self.pairing]
        partnered = {p for p, _, _ in pairs}
        found = {t for _, t, _ in pairs}
        nothing: frozenset[str] = frozenset()
        return [
            *(self._match(*pair) for pair in pairs),
            *(self._match(p, nothing, 0.0) for p in self.predicted if p not in partnered),
            *(self._match(nothing, t, 0.0) for t in self.true if t not in found),
        ]

    @property
    def intent_pairs(self) -> list[tuple[str, str]]:
        """The predicted and the true intent of each matched pair of bundles that both have one."""
        if self.prediction is None:
            return []
        predicted, true = intents(self.prediction.bundles), intents(self.prediction.truth or [])
        found = [(predicted.get(self.valid[p], ""), true.get(self.true[t], "")) for p, t, _ in self.pairing]
        return [(a, b) for a, b in found if a and b]

    @property
    def matched_intents(self) -> list[tuple[frozenset[str], str]]:
        """The predicted bundles that are matched with a true one and have an intent, with it."""
        if self.prediction is None:
            return []
        predicted = intents(self.prediction.bundles)
        return [(self.valid[p], predicted[self.valid[p]]) for p, _, _ in self.pairing if self.valid[p] in predicted]

    def _probabilities(self) -> list[tuple[float, bool]]:
        if self.failed or self.prediction is None:
            return []
        found: dict[frozenset[str], float] = {}
        for bundle in self.prediction.bundles:
            if not isinstance(bundle.probability, UnsetType):
                found.setdefault(frozenset(bundle.items), bundle.probability)
        valid = set(self.valid) if found else set()
        return [(p, b in valid and any(b <= g for g in self.true)) for b, p in found.items()]

    def _match(self, predicted: frozenset[str], true: frozenset[str], jaccard: float) -> Match:
        hit = len(predicted) > 1 and predicted <= self.items and any(predicted <= g for g in self.true)
        return Match(sorted(predicted), sorted(true), round(jaccard, DIGITS), hit)


def bundle_sets(bundles: Iterable[Collection[str]]) -> Sets:
    """The distinct bundles as sets, in an order that does not depend on the order given."""
    distinct = set(map(frozenset, bundles))
    return sorted(distinct, key=sorted) if len(distinct) > 1 else list(distinct)


def co_bundled(bundles: Sets) -> set[tuple[str, str]]:
    """The item pairs that share a bundle."""
    return {(a, b) for bundle in bundles for a, b in combinations(sorted(bundle), 2)}


def match(predicted: Sets, true: Sets) -> Pairing:
    """The one-to-one assignment with the largest sum of Jaccard similarities, as (predicted, true, J > 0)."""
    if len(predicted) < len(true):
        return [(p, t, j) for t, p, j in match(true, predicted)]
    if not true:
        return []
    similarity = [[len(p & t) / len(p | t) for t in true] for p in predicted]
    if len(true) == 1:  # as most sessions; the same choice as below
        best = max(range(len(predicted)), key=similarity.__getitem__)
        return [(best, 0, similarity[best][0])] if similarity[best][0] > 0 else []
    if math.perm(len(predicted), len(true)) <= MAX_PERMUTATIONS:
        columns = range(len(true))
        rows = max(
            permutations(range(len(predicted)), len(true)),
            key=lambda rows: sum(similarity[rows[column]][column] for column in columns),
        )
        assigned: Iterable[tuple[int, int]] = zip(rows, columns, strict=True)
    else:
        from scipy.optimize import linear_sum_assignment

        assigned = zip(*(part.tolist() for part in linear_sum_assignment(similarity, maximize=True)), strict=True)
    return sorted((p, t, similarity[p][t]) for p, t in assigned if similarity[p][t] > 0)


def matched_f1(predicted: Bundles, truth: Bundles) -> float:
    """One-to-one matched Jaccard F1: 2 ΣJ / (|P| + |G|) under the optimal assignment; 1 if both are empty."""
    distinct, true = bundle_sets(predicted), bundle_sets(truth)
    if not distinct and not true:
        return 1.0
    pairing = match([p for p in distinct if len(p) > 1], true)
    return 2 * sum(j for _, _, j in pairing) / (len(distinct) + len(true))


def intents(bundles: Sequence[Bundle]) -> dict[frozenset[str], str]:
    """Each bundle's first intent."""
    found: dict[frozenset[str], str] = {}
    for bundle in bundles:
        if text := bundle.intent.strip():
            found.setdefault(frozenset(bundle.items), text)
    return found


def bundle_text(items: Sequence[str], intents: Mapping[frozenset[str], str], numbers: Mapping[str, int]) -> str:
    """E.g. `1, 3 camera kit`, by the numbers of items; one that is not of the session stands by its id."""
    if not items:
        return "–"
    places = sorted(numbers[item] for item in items if item in numbers)
    strangers = [f"{item} (not in the session)" for item in items if item not in numbers]
    return f"{', '.join([*map(str, places), *strangers])} {intents.get(frozenset(items), '')}".strip()
