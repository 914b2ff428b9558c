"""How probable each bundling of a session is: a log-linear model over set partitions, fitted to true bundles.

p(partition) is proportional to exp(weights · features), a conditional random field (Lafferty et al., 2001)
whose states are partitions, which makes its normaliser a finite sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kdb.partitions.enumeration import (
    STRUCTURE,
    Floats,
    Labels,
    all_partitions,
    extend,
    features,
    from_bundles,
    to_masks,
)

Weights = NDArray[np.float64]
BundleMasks = tuple[int, ...]
"""The bundles of a partition as bit masks over the items."""

BEAM_WIDTH = 4140
"""So many partitions are kept while items are added: all of them up to 8 items (the Bell number of 8)."""
MAX_EXACT_ITEMS = 8
"""Sessions of up to so many items are fitted to."""
TOP_K = 200
"""So many of the most probable bundlings stand for the posterior."""


def n_weights(kinds: int) -> int:
    """The number of weights for so many kinds of evidence."""
    return 2 * kinds + 2 * len(STRUCTURE)


def fit(
    evidence: Sequence[Floats],
    truth: Sequence[Sequence[Sequence[int]]],
    prior: Weights | None = None,
    ridge: float = 0.5,
) -> Weights:
    """The most probable weights under a normal prior around `prior` (or 0) with precision `ridge`.

    `evidence` holds an (n, n, k) array a session and `truth` its true groups of positions. Sessions of more
    than MAX_EXACT_ITEMS items are passed over.
    """
    from scipy.optimize import minimize

    cases = [_case(e, groups) for e, groups in zip(evidence, truth, strict=True) if len(e) <= MAX_EXACT_ITEMS]
    start = np.zeros(n_weights(evidence[0].shape[2])) if prior is None else prior

    def loss(weights: Weights) -> tuple[float, Weights]:
        value = ridge * float(((weights - start) ** 2).sum()) / 2
        slope = ridge * (weights - start)
        for rows, right in cases:
            scores = rows @ weights
            top = scores.max()
            p = np.exp(scores - top)
            total = p.sum()
            value += float(top + np.log(total) - scores[right])
            slope = slope + (p @ rows) / total - rows[right]
        return value, slope

    return minimize(loss, start.copy(), jac=True, method="L-BFGS-B", options={"maxiter": 80}).x


def _case(evidence: Floats, groups: Sequence[Sequence[int]]) -> tuple[NDArray[np.float64], int]:
    labels = all_partitions(len(evidence))
    right = int(np.flatnonzero((labels == from_bundles(len(evidence), groups)).all(1))[0])
    return features(labels, evidence).astype(np.float64), right


def top_partitions(evidence: Floats, weights: Weights) -> tuple[list[BundleMasks], NDArray[np.float64]]:
    """The TOP_K most probable bundlings of a session that have a bundle, and their probabilities (sum 1).

    Items are added one by one and the BEAM_WIDTH best partitions kept, so any number of items can be decided on;
    up to MAX_EXACT_ITEMS items nothing is lost.
    """
    labels: Labels = np.zeros((1, 0), dtype=np.uint8)
    scores = np.zeros(1)
    for items in range(1, len(evidence) + 1):
        labels = extend(labels)
        scores = features(labels, evidence[:items, :items]) @ weights
        if len(labels) > BEAM_WIDTH:
            best = np.argsort(-scores, kind="stable")[:BEAM_WIDTH]
            labels, scores = labels[best], scores[best]
    best = np.argsort(-scores, kind="stable")[: TOP_K + 1]
    p = np.exp(scores[best] - scores[best[0]])
    found = {to_masks(labels[k]): float(q) for k, q in zip(best, p, strict=True)}
    found.pop((), None)
    probabilities = np.array(list(found.values()))
    return list(found), probabilities / probabilities.sum()
