"""How well predicted bundles agree with the true ones: pure functions on sets, one session at a time.

Bundles are sets of item ids, so the order and the repetition of items or bundles change nothing. A predicted
bundle is *valid* if it holds two or more items and all of them are in the session. An invalid one still
counts as predicted, and never as right: a model gains nothing by inventing items.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

Bundles = Sequence[Collection[str]]
Sets = list[frozenset[str]]

_MAX_EXACT = 6
"""Up to so many bundles on the smaller side the dynamic programme is faster than loading SciPy."""


class SessionSums(NamedTuple):
    """What one session adds to the sums that every metric is a ratio of (see `STRICT` and `RELEASED`)."""

    sessions: float = 1.0
    precision: float = 0.0  # share of the predicted bundles that are hits
    recall: float = 0.0  # share of the true bundles that contain a hit
    coverage: float = 0.0  # sum over the hits of the largest |p| / |g|
    hits: float = 0.0  # predicted bundles that are a subset of a true one
    matched_f1: float = 0.0
    exact: float = 0.0  # 1 where the predicted bundles are the true ones
    pair_hits: float = 0.0  # item pairs that share a bundle in the prediction and in the truth
    pairs_predicted: float = 0.0
    pairs_true: float = 0.0
    pairs_mean: float = 0.0
    predicted: float = 0.0  # distinct predicted bundles, invalid ones included
    true: float = 0.0
    invalid: float = 0.0
    items_predicted: float = 0.0  # summed over the predicted bundles
    items_true: float = 0.0
    hallucinated: float = 0.0  # those of `items_predicted` that are not in the session
    parsed: float = 0.0  # 1 where anything was predicted
    released_precision: float = 0.0
    released_recall: float = 0.0
    released_coverage: float = 0.0


STRICT: dict[str, tuple[str, str]] = {
    "precision": ("precision", "sessions"),
    "recall": ("recall", "sessions"),
    "coverage": ("coverage", "hits"),
    "matched_f1": ("matched_f1", "sessions"),
    "exact": ("exact", "sessions"),
    "pair_precision": ("pair_hits", "pairs_predicted"),
    "pair_recall": ("pair_hits", "pairs_true"),
    "pair_f1": ("pair_hits", "pairs_mean"),
    "invalid": ("invalid", "predicted"),
    "hallucinated": ("hallucinated", "items_predicted"),
    "bundles_predicted": ("predicted", "sessions"),
    "bundles_true": ("true", "sessions"),
    "size_predicted": ("items_predicted", "predicted"),
    "size_true": ("items_true", "true"),
}
"""Metric -> the two fields of `SessionSums` whose sums over the sessions it is the ratio of."""

RELEASED: dict[str, tuple[str, str]] = {
    "precision": ("released_precision", "parsed"),
    "recall": ("released_recall", "parsed"),
    "coverage": ("released_coverage", "hits"),
}
"""As the code released with AICL (arXiv 2312.16262) scores, without its last-digit index bug."""


def bundle_sets(bundles: Iterable[Collection[str]]) -> Sets:
    """The distinct bundles as sets, in an order that does not depend on the order given."""
    return sorted({frozenset(bundle) for bundle in bundles}, key=sorted)


def match(predicted: Sets, true: Sets) -> list[tuple[int, int, float]]:
    """The one-to-one assignment with the largest sum of Jaccard similarities, as (predicted, true, J > 0)."""
    if len(predicted) < len(true):
        return [(p, t, j) for t, p, j in match(true, predicted)]
    similarity = [[len(p & t) / len(p | t) for t in true] for p in predicted]
    assign = _assign_small if len(true) <= _MAX_EXACT else _assign_large
    return [(p, t, similarity[p][t]) for p, t in assign(similarity) if similarity[p][t] > 0]


def _assign_small(similarity: list[list[float]]) -> tuple[tuple[int, int], ...]:
    """Dynamic programme over the sets of columns already taken."""
    best: dict[int, tuple[float, tuple[tuple[int, int], ...]]] = {0: (0.0, ())}
    for row, values in enumerate(similarity):
        for taken, (total, chosen) in list(best.items()):
            for column, value in enumerate(values):
                key = taken | 1 << column
                if value > 0 and key != taken and total + value > best.get(key, (-1.0,))[0]:
                    best[key] = (total + value, (*chosen, (row, column)))
    return max(best.values(), key=lambda entry: entry[0])[1]


def _assign_large(similarity: list[list[float]]) -> tuple[tuple[int, int], ...]:
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return tuple(zip(rows.tolist(), columns.tolist(), strict=True))


def matched_f1(predicted: Bundles, truth: Bundles) -> float:
    """One-to-one matched Jaccard F1: 2 ΣJ / (|P| + |G|) under the optimal assignment; 1 if both are empty."""
    distinct, true = bundle_sets(predicted), bundle_sets(truth)
    return _matched_f1([p for p in distinct if len(p) > 1], len(distinct), true)


def _matched_f1(valid: Sets, predicted: int, true: Sets) -> float:
    if not predicted and not true:
        return 1.0
    return 2 * sum(j for _, _, j in match(valid, true)) / (predicted + len(true))


def score(predicted: Bundles, truth: Bundles, items: Collection[str], failed: bool = False) -> SessionSums:
    """Score one session under both protocols.

    A session without a valid prediction scores 0 and stays in the strict mean; the one exception (ours) is
    a session without true bundles for which a run that did not fail rightly predicts none: it scores 1.
    """
    distinct, true, known = bundle_sets(predicted), bundle_sets(truth), set(items)
    if not distinct and not true:
        right = float(not failed)
        return SessionSums(precision=right, recall=right, matched_f1=right, exact=right)
    valid = [p for p in distinct if len(p) > 1 and p <= known]
    return SessionSums(
        **_containment(valid, len(distinct), true, truth),
        **_pair_counts(valid, true),
        matched_f1=_matched_f1(valid, len(distinct), true),
        exact=distinct == true,
        predicted=len(distinct),
        true=len(true),
        invalid=len(distinct) - len(valid),
        items_predicted=sum(map(len, distinct)),
        items_true=sum(map(len, true)),
        hallucinated=sum(len(p - known) for p in distinct),
        parsed=bool(distinct),
    )


def _containment(valid: Sets, predicted: int, true: Sets, truth: Bundles) -> dict[str, float]:
    """Precision, recall and coverage by containment, as both protocols count them."""
    # For each hit the shares |p| / |g| of the true bundles that contain it; the released code takes the
    # first of them in the order of the data.
    shares = [share for p in valid if (share := [len(p) / len(g) for g in true if p <= g])]
    first = [next((len(p) / len(set(g)) for g in truth if p.issubset(g)), 0.0) for p in valid]
    hits = len(shares)
    return {
        "hits": hits,
        "precision": hits / max(predicted, 1),
        "recall": sum(any(p <= g for p in valid) for g in true) / max(len(true), 1),
        "coverage": sum(map(max, shares)),
        "released_precision": hits / max(predicted, 1),
        "released_recall": hits / max(len(true), 1),
        "released_coverage": sum(first),
    }


def _pair_counts(valid: Sets, true: Sets) -> dict[str, float]:
    pairs, true_pairs = _pairs(valid), _pairs(true)
    return {
        "pair_hits": len(pairs & true_pairs),
        "pairs_predicted": len(pairs),
        "pairs_true": len(true_pairs),
        "pairs_mean": (len(pairs) + len(true_pairs)) / 2,
    }


def _pairs(bundles: Sets) -> set[tuple[str, ...]]:
    """The item pairs that share a bundle."""
    return {pair for bundle in bundles for pair in combinations(sorted(bundle), 2)}
