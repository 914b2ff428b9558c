"""How probable each partition of a session is: a log-linear model over set partitions, fitted to true bundles.

p(partition) is proportional to exp(weights · features), a conditional random field (Lafferty et al., 2001)
whose states are partitions. Up to MAX_EXACT_ITEMS items its normaliser is the sum over all of them. Above, it is
the sum over the most probable ones that a beam search finds, as in training on n-best lists (Och and Ney, 2002):
an approximation that leaves out what is improbable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdb.partitions import beam
from kdb.partitions.enumeration import (
    MAX_EXACT_ITEMS,
    STRUCTURE,
    Design,
    Floats,
    Labels,
    design,
    from_bundles,
    full_design,
    to_masks,
    upper,
)

Weights = NDArray[np.float64]
BundleMasks = tuple[int, ...]
"""The bundles of a partition as bit masks over the items."""

MAX_ITEMS = 60
"""Items after so many are in no bundle: masks of bundles end there."""
TOP_K = 200
"""So many of the most probable partitions stand for all when a prediction is chosen."""
N_BEST = 1000
"""A large session's normaliser is the sum over so many partitions, those of each round and the true one."""
ROUNDS = 2
"""The partitions of large sessions are searched so often, with the weights found before."""
MAX_ITERATIONS = 80


def n_weights(n_features: int) -> int:
    """The number of weights for so many features of a pair: by share, by pair, then structure twice."""
    return 2 * n_features + 2 * len(STRUCTURE)


def active_weights(active: Sequence[bool]) -> NDArray[np.bool_]:
    """Which weights are free where only these pair features are in use; the structure always is."""
    columns = np.asarray(active, dtype=bool)
    return np.concatenate([columns, columns, np.ones(2 * len(STRUCTURE), dtype=bool)])


def fit(
    pairs: Sequence[Floats],
    truth: Sequence[Sequence[Sequence[int]]],
    prior: Weights | None = None,
    precision: float | Weights = 0.5,
    active: Sequence[bool] | None = None,
    start: Weights | None = None,
) -> Weights:
    """The most probable weights under a normal prior around `prior` (or 0), sessions of all sizes counted.

    `pairs` holds the (n, n, k) pair features of each session and `truth` its true groups of positions. `precision`
    is that of all weights or one for each (`n_weights`). The weights of pair features that are not `active` (k,)
    stay at the prior. `start` are weights near to those looked for, as of nearly the same sessions: with them it
    takes less time.
    """
    centre = np.zeros(n_weights(pairs[0].shape[2])) if prior is None else np.asarray(prior, dtype=np.float64)
    free = np.ones(len(centre), dtype=bool) if active is None else active_weights(active)
    by_size: dict[int, list[int]] = {}
    for n, own in enumerate(pairs):
        by_size.setdefault(min(len(own), MAX_ITEMS), []).append(n)
    small: list[_Likelihood] = [
        _all_partitions([pairs[n] for n in own], [truth[n] for n in own])
        for size, own in sorted(by_size.items())
        if 1 < size <= MAX_EXACT_ITEMS
    ]
    large = [
        _NBest(pairs[n], truth[n]) for size, own in sorted(by_size.items()) if size > MAX_EXACT_ITEMS for n in own
    ]
    weights = centre if start is None else start
    if small and (start is None or not large):
        weights = _minimise(small, weights, centre, precision, free)
    for _ in range((ROUNDS if start is None else 1) if large else 0):
        for session in large:
            session.search(weights)
        weights = _minimise([*small, *(one.likelihood() for one in large)], weights, centre, precision, free)
    return weights


def _minimise(
    parts: Sequence[_Likelihood],
    first: Weights,
    prior: Weights,
    precision: float | Weights,
    free: NDArray[np.bool_],
) -> Weights:
    from scipy.optimize import minimize

    def loss(values: Weights) -> tuple[float, Weights]:
        weights = prior.copy()
        weights[free] = values
        apart = weights - prior
        total, gradient = float((precision * apart**2).sum()) / 2, precision * apart
        for part in parts:
            value, slope = part.loss(weights)
            total += value
            gradient = gradient + slope
        return total, gradient[free]

    found = prior.copy()
    found[free] = minimize(loss, first[free], jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS}).x
    return found


@dataclass
class _Likelihood:
    """S sessions of one size with the same P partitions; `pairs` (S, m, k), `right` (S,) the true partition."""

    design: Design
    pairs: Floats
    right: NDArray[np.intp]

    def loss(self, weights: Weights) -> tuple[float, Weights]:
        """The negative log likelihood of the true partitions, and its gradient."""
        w = weights.astype(np.float32)
        k, own = self.pairs.shape[2], np.arange(len(self.pairs))
        scores = (self.pairs @ w[:k]) @ self.design.share.T + (self.pairs @ w[k : 2 * k]) @ self.design.together.T
        scores += self.design.structure @ w[2 * k :]
        top = scores.max(1, keepdims=True)
        value = -(scores[own, self.right] - top[:, 0]).sum(dtype=np.float64)
        p = np.exp(scores - top)
        total = p.sum(1, keepdims=True)
        value += np.log(total).sum(dtype=np.float64)
        p /= total
        p[own, self.right] -= 1  # expected features less the true ones
        gradient = np.concatenate(
            [
                np.einsum("sm,smk->k", p @ self.design.share, self.pairs),
                np.einsum("sm,smk->k", p @ self.design.together, self.pairs),
                p.sum(0) @ self.design.structure,
            ]
        )
        return float(value), gradient.astype(np.float64)


def _all_partitions(pairs: Sequence[Floats], truth: Sequence[Sequence[Sequence[int]]]) -> _Likelihood:
    items = len(pairs[0])
    labels, full = full_design(items)
    place = {row.tobytes(): n for n, row in enumerate(labels)}
    right = np.array([place[from_bundles(items, groups).tobytes()] for groups in truth], dtype=np.intp)
    return _Likelihood(full, np.stack([upper(own) for own in pairs]), right)


class _NBest:
    """A large session: its true partition and the most probable others."""

    def __init__(self, pairs: Floats, truth: Sequence[Sequence[int]]) -> None:
        self.pairs = pairs[:MAX_ITEMS, :MAX_ITEMS]
        items = len(self.pairs)
        self.labels = from_bundles(items, [[i for i in group if i < items] for group in truth])[None]

    def search(self, weights: Weights) -> None:
        """Add the N_BEST partitions under these weights."""
        found, _ = beam.search(self.pairs, weights)
        known = {row.tobytes() for row in self.labels}
        new = [row for row in found[:N_BEST] if row.tobytes() not in known]
        self.labels = np.concatenate([self.labels, np.array(new, dtype=np.uint8).reshape(-1, len(self.pairs))])

    def likelihood(self) -> _Likelihood:
        """That of the true partition, the first, among all found so far."""
        return _Likelihood(design(self.labels), upper(self.pairs)[None], np.zeros(1, dtype=np.intp))


@dataclass(frozen=True)
class Distribution:
    """Partitions (P, n) of one session, the most probable first, and their probabilities (P,), which sum to 1."""

    labels: Labels
    probabilities: NDArray[np.float64]

    def top(self, k: int = TOP_K) -> tuple[list[BundleMasks], NDArray[np.float64]]:
        """The `k` most probable partitions that have a bundle, as masks, and their probabilities."""
        found = [(to_masks(row), p) for row, p in zip(self.labels[: k + 1], self.probabilities, strict=False)]
        kept = [(masks, p) for masks, p in found if masks][:k]
        return [masks for masks, _ in kept], np.array([p for _, p in kept])

    def within(self, group: Sequence[int]) -> float:
        """The probability that these items lie within one true bundle."""
        own = self.labels[:, list(group)]
        return min(1.0, float(self.probabilities[(own == own[:, :1]).all(1)].sum()))


def distribution(pairs: Floats, weights: Weights) -> Distribution:
    """Of a session with (n, n, k) pair features and 1 to MAX_ITEMS items.

    All partitions up to MAX_EXACT_ITEMS items, else those that the beam search keeps.
    """
    if len(pairs) > MAX_EXACT_ITEMS:
        labels, scores = beam.search(pairs, weights)
    else:
        labels, full = full_design(len(pairs))
        k = pairs.shape[2]
        values = upper(pairs)
        scores = full.share @ (values @ weights[:k]) + full.together @ (values @ weights[k : 2 * k])
        scores = scores + full.structure @ weights[2 * k :]
        order = np.argsort(-scores, kind="stable")
        labels, scores = labels[order], scores[order]
    p = np.exp(scores - scores[0])
    return Distribution(labels, p / p.sum())


def top_partitions(pairs: Floats, weights: Weights) -> tuple[list[BundleMasks], NDArray[np.float64]]:
    """The TOP_K most probable partitions of a session that have a bundle, and their probabilities."""
    return distribution(pairs, weights).top()
