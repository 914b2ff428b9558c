"""Which bundles to predict, given how probable each partition is: minimum Bayes risk.

Of many candidate predictions the one with the greatest expected utility is taken (Bickel and Doksum, 1977,
section 1.3); the utility is what the user asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from kdb import registry
from kdb.partitions import crf
from kdb.partitions.crf import MAX_ITEMS, BundleMasks
from kdb.partitions.matching import MatchedF1

UTILITIES = ("f1", "precision")
N_CANDIDATE_PARTITIONS = 60
"""Parts of so many of the most probable partitions are candidates."""
MAX_SUBSET_BUNDLES = 4
"""All parts of a partition with up to so many bundles are candidates; of a larger one its most probable bundles."""
TIE = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DecodedBundle:
    """A predicted bundle: positions of items, and the probability that it lies within a true bundle."""

    positions: list[int]
    probability: float


def decode(pairs: NDArray[np.float32], weights: crf.Weights, utility: str) -> list[DecodedBundle]:
    """The bundles to predict for a session with (n, n, k) pair features, by the first MAX_ITEMS items."""
    items = min(len(pairs), MAX_ITEMS)
    if items < 2:
        return []
    found = crf.distribution(pairs[:items, :items], weights)
    chosen = best_prediction(*found.top(), items, utility)
    groups = [[n for n in range(items) if mask >> n & 1] for mask in chosen]
    return [DecodedBundle(group, found.within(group)) for group in groups]


def best_prediction(
    partitions: Sequence[BundleMasks], probabilities: Floats, items: int, utility: str
) -> BundleMasks:
    """The best prediction for a session of `items` items; UsageError for an unknown utility.

    `f1`: expected matched Jaccard F1. `precision`: expected share of the predicted bundles that are hits, each
    weighted by its coverage, without which the most probable pair would always be chosen.
    """
    registry.check(UTILITIES, utility, "utility")
    options = candidates(partitions, probabilities, items)
    choose = _best_by_f1 if utility == "f1" else _best_by_precision
    return options[choose(options, partitions, probabilities)]


def candidates(partitions: Sequence[BundleMasks], probabilities: Floats, items: int) -> list[BundleMasks]:
    """Parts of the most probable partitions, every pair, and the whole session, each once.

    At most N_CANDIDATE_PARTITIONS times 2^MAX_SUBSET_BUNDLES or MAX_ITEMS / 2 parts, whatever the session.
    """
    found: dict[BundleMasks, None] = {((1 << items) - 1,): None}
    likely = bundle_probabilities(partitions, probabilities)
    for own in partitions[:N_CANDIDATE_PARTITIONS]:
        if len(own) <= MAX_SUBSET_BUNDLES:
            for count in range(1, len(own) + 1):
                found |= dict.fromkeys(combinations(own, count))
        else:
            ranked = sorted(own, key=lambda mask: -likely[mask])
            found |= dict.fromkeys(tuple(sorted(ranked[:count])) for count in range(1, len(own) + 1))
    for i, j in combinations(range(items), 2):
        found[(1 << i | 1 << j,)] = None
    return list(found)


def bundle_probabilities(partitions: Sequence[BundleMasks], probabilities: Floats) -> dict[int, float]:
    """The probability of each bundle to be one of the true ones."""
    found: dict[int, float] = {}
    for own, p in zip(partitions, probabilities.tolist(), strict=True):
        for bundle in own:
            found[bundle] = found.get(bundle, 0.0) + p
    return found


def _best_by_f1(options: Sequence[BundleMasks], partitions: Sequence[BundleMasks], probabilities: Floats) -> int:
    """Options are valued in the order of their bounds, until no other can be better."""
    matched = MatchedF1(options, partitions)
    bounds = matched.upper_bounds() @ probabilities
    best, value = 0, -np.inf
    for n in np.argsort(-bounds, kind="stable").tolist():
        if bounds[n] < value - TIE:
            break
        own = float(matched.exact(n) @ probabilities)
        if own > value + TIE or (own > value - TIE and n < best):
            best, value = n, max(own, value)
    return best


def _best_by_precision(
    options: Sequence[BundleMasks], partitions: Sequence[BundleMasks], probabilities: Floats
) -> int:
    likely = bundle_probabilities(partitions, probabilities)
    true, p = np.array(list(likely), np.uint64), np.array(list(likely.values()))
    bundles = list({bundle for option in options for bundle in option})
    own = np.array(bundles, np.uint64)[:, None]
    # A partition has at most one block that holds a bundle, so its coverage is a sum over blocks.
    coverage = np.where(own & true == own, np.bitwise_count(own) / np.bitwise_count(true), 0) @ p
    covered = dict(zip(bundles, coverage.tolist(), strict=True))
    return int(np.argmax([np.mean([covered[bundle] for bundle in option]) for option in options]))
