"""Which bundles to predict, given how probable each bundling is: minimum Bayes risk.

Of many candidate predictions the one with the greatest expected utility is taken (Bickel and Doksum, 1977,
section 1.3); the utility is what the user asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from kdb.errors import UsageError
from kdb.partitions import crf
from kdb.partitions.crf import BundleMasks

UTILITIES = ("f1", "precision")
MAX_ITEMS = 60
"""Items beyond that are left out of all bundles: bit masks end there, and nobody looks at so many."""
N_CANDIDATE_PARTITIONS = 60
"""Parts of so many of the likeliest bundlings are candidates."""

Floats = NDArray[np.float64]


def decode(pairs: NDArray[np.float32], weights: crf.Weights, utility: str) -> list[list[int]]:
    """The bundles to predict for a session with (n, n, k) evidence on its pairs, as positions of items."""
    items = min(len(pairs), MAX_ITEMS)
    if items < 2:
        return []
    bundlings, probabilities = crf.top_partitions(pairs[:items, :items], weights)
    chosen = best_prediction(bundlings, probabilities, items, utility)
    return [[n for n in range(items) if mask >> n & 1] for mask in chosen]


def best_prediction(
    bundlings: Sequence[BundleMasks], probabilities: Floats, items: int, utility: str
) -> BundleMasks:
    """The best prediction for a session of `items` items; UsageError for an unknown utility.

    `f1`: expected matched Jaccard F1. `precision`: expected share of the predicted bundles that are hits, each
    weighted by its coverage, without which the likeliest pair would always do.
    """
    if utility not in UTILITIES:
        raise UsageError(f"no utility {utility!r}", f"there are {', '.join(UTILITIES)}")
    options = candidates(bundlings, items)
    if utility == "f1":
        utilities = pairwise_matched_f1(options, bundlings) @ probabilities
    else:
        bundles = {bundle for option in options for bundle in option}
        covered = {bundle: float(_coverage(bundle, bundlings) @ probabilities) for bundle in bundles}
        utilities = np.array([np.mean([covered[bundle] for bundle in option]) for option in options])
    return options[int(np.argmax(utilities))]


def candidates(bundlings: Sequence[BundleMasks], items: int) -> list[BundleMasks]:
    """All non-empty parts of the likeliest bundlings, every pair, and the whole session, each once."""
    found: dict[BundleMasks, None] = {((1 << items) - 1,): None}
    for bundling in bundlings[:N_CANDIDATE_PARTITIONS]:
        for count in range(1, len(bundling) + 1):
            found |= dict.fromkeys(combinations(bundling, count))
    for i, j in combinations(range(items), 2):
        found[(1 << i | 1 << j,)] = None
    return list(found)


def pairwise_matched_f1(options: Sequence[BundleMasks], bundlings: Sequence[BundleMasks]) -> Floats:
    """Matched Jaccard F1 of every option against every bundling, by trying every assignment: (P, Q)."""
    result = np.zeros((len(options), len(bundlings)))
    for rows, mine in _by_length(options):
        for columns, true in _by_length(bundlings):
            a, b = mine[:, None, :, None], true[None, :, None, :]
            jaccard = np.bitwise_count(a & b) / np.bitwise_count(a | b)
            if mine.shape[1] > true.shape[1]:
                jaccard = jaccard.swapaxes(2, 3)
            few, many = jaccard.shape[2:]
            best = np.zeros(jaccard.shape[:2])
            for assignment in permutations(range(many), few):
                np.maximum(best, sum(jaccard[:, :, k, m] for k, m in enumerate(assignment)), out=best)
            result[np.ix_(rows, columns)] = 2 * best / (few + many)
    return result


def _by_length(bundlings: Sequence[BundleMasks]) -> list[tuple[list[int], NDArray[np.uint64]]]:
    """Bundlings of the same number of bundles: their places, and their masks (count, bundles)."""
    places: dict[int, list[int]] = {}
    for n, bundling in enumerate(bundlings):
        places.setdefault(len(bundling), []).append(n)
    return [(found, np.array([bundlings[n] for n in found], np.uint64)) for found in places.values()]


def _coverage(bundle: int, bundlings: Sequence[BundleMasks]) -> Floats:
    """|p| / |g| for the bundle g of each bundling that holds p, 0 where none does."""
    size = bundle.bit_count()
    return np.array(
        [max((size / g.bit_count() for g in b if g & bundle == bundle), default=0.0) for b in bundlings]
    )
