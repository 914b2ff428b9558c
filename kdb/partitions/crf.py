"""How probable each partition of a session is: a log-linear model over set partitions, fitted to true bundles.

p(partition) is proportional to exp(weights · features), a conditional random field (Lafferty et al., 2001)
whose states are partitions. Up to MAX_EXACT_ITEMS items its normaliser is the sum over all of them. Above, it is
the sum over the most probable ones that a beam search finds, as in training on n-best lists (Och and Ney, 2002):
an approximation that leaves out what is improbable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
Groups = Sequence[Sequence[int]]
"""True bundles as positions of items."""
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
PRECISION = 0.5
"""Of the weights' prior, unless another one is given."""


def n_weights(n_features: int) -> int:
    """The number of weights for so many features of a pair: by share, by pair, then structure twice."""
    return 2 * n_features + 2 * len(STRUCTURE)


def active_weights(active: Sequence[bool]) -> NDArray[np.bool_]:
    """Which weights are free where only these pair features are in use; the structure always is."""
    columns = np.asarray(active, dtype=bool)
    return np.concatenate([columns, columns, np.ones(2 * len(STRUCTURE), dtype=bool)])


def fit(
    pairs: Sequence[Floats],
    truth: Sequence[Groups],
    prior: Weights | None = None,
    precision: float | Weights = PRECISION,
    active: Sequence[bool] | None = None,
    session_weights: Sequence[float] | None = None,
) -> Weights:
    """The most probable weights under a normal prior around `prior` (or 0), sessions of all sizes counted.

    `pairs` holds the (n, n, k) pair features of each session and `truth` its true groups of positions. `precision`
    is that of all weights or one for each (`n_weights`). The weights of pair features that are not `active` (k,)
    stay at the prior. The log likelihood of a session is multiplied by its weight.
    """
    sessions = TrainingSessions(pairs, truth, session_weights)
    weights = sessions.centre(prior)
    if sessions.small:
        weights = sessions.fit(sessions.small, weights, prior, precision, active)
    for _ in range(ROUNDS if sessions.large else 0):
        sessions.search(weights)
        weights = sessions.fit(range(len(pairs)), weights, prior, precision, active)
    return weights


class TrainingSessions:
    """Annotated sessions; of the large ones the partitions that were found so far."""

    def __init__(
        self, pairs: Sequence[Floats], truth: Sequence[Groups], session_weights: Sequence[float] | None = None
    ) -> None:
        self.pairs, self.truth = pairs, truth
        self.weights = [1.0] * len(pairs) if session_weights is None else session_weights
        self.small = [n for n, own in enumerate(pairs) if 1 < len(own) <= MAX_EXACT_ITEMS]
        self.large = {
            n: _NBest(own, truth[n], self.weights[n]) for n, own in enumerate(pairs) if len(own) > MAX_EXACT_ITEMS
        }

    def centre(self, prior: Weights | None) -> Weights:
        """The prior's mean."""
        return np.zeros(n_weights(self.pairs[0].shape[2])) if prior is None else np.asarray(prior, dtype=np.float64)

    def search(self, weights: Weights) -> None:
        """Add to each large session its most probable partitions under these weights."""
        for session in self.large.values():
            session.search(weights)

    def log_likelihood(self, n: int, weights: Weights) -> float:
        """That of a session's true partition, whatever its weight; of a large one, among those found so far."""
        if len(self.pairs[n]) < 2:
            return 0.0
        (part,) = self._parts([n])
        part.counts.fill(1)
        return -part.loss(weights)[0]

    def fit(
        self,
        members: Iterable[int],
        start: Weights,
        prior: Weights | None = None,
        precision: float | Weights = PRECISION,
        active: Sequence[bool] | None = None,
    ) -> Weights:
        """The weights of these sessions (see `fit`), looked for from `start` on."""
        centre = self.centre(prior)
        free = np.ones(len(centre), dtype=bool) if active is None else active_weights(active)
        return _minimise(self._parts(members), start, centre, precision, free)

    def _parts(self, members: Iterable[int]) -> list[_Likelihood | _NBestLikelihood]:
        """The likelihood of these sessions: a part for each size, and one for the large ones."""
        by_size: dict[int, list[int]] = {}
        large = []
        for n in members:
            if n in self.large:
                large.append(self.large[n])
            elif len(self.pairs[n]) > 1:
                by_size.setdefault(len(self.pairs[n]), []).append(n)
        parts: list[_Likelihood | _NBestLikelihood] = [
            _all_partitions(
                [self.pairs[n] for n in own], [self.truth[n] for n in own], [self.weights[n] for n in own]
            )
            for _, own in sorted(by_size.items())
        ]
        if large:
            parts.append(_NBestLikelihood.of(large))
        return parts


def _minimise(
    parts: Sequence[_Likelihood | _NBestLikelihood],
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
    """S sessions of one size with the same P partitions; `pairs` (S, m, k), `right` (S,) the true partition.

    `counts` (S, 1) are the weights of the sessions.
    """

    design: Design
    pairs: Floats
    right: NDArray[np.intp]
    counts: Floats

    def loss(self, weights: Weights) -> tuple[float, Weights]:
        """The negative log likelihood of the true partitions, and its gradient."""
        w = weights.astype(np.float32)
        k, own = self.pairs.shape[2], np.arange(len(self.pairs))
        scores = (self.pairs @ w[:k]) @ self.design.share.T + (self.pairs @ w[k : 2 * k]) @ self.design.together.T
        scores += self.design.structure @ w[2 * k :]
        top = scores.max(1, keepdims=True)
        value = -(self.counts[:, 0] * (scores[own, self.right] - top[:, 0])).sum(dtype=np.float64)
        p = np.exp(scores - top)
        total = p.sum(1, keepdims=True)
        value += (self.counts * np.log(total)).sum(dtype=np.float64)
        p /= total
        p[own, self.right] -= 1  # expected features less the true ones
        p *= self.counts
        gradient = np.concatenate(
            [
                np.einsum("sm,smk->k", p @ self.design.share, self.pairs),
                np.einsum("sm,smk->k", p @ self.design.together, self.pairs),
                p.sum(0) @ self.design.structure,
            ]
        )
        return float(value), gradient.astype(np.float64)


def _all_partitions(pairs: Sequence[Floats], truth: Sequence[Groups], weights: Sequence[float]) -> _Likelihood:
    items = len(pairs[0])
    labels, full = full_design(items)
    place = {row.tobytes(): n for n, row in enumerate(labels)}
    right = np.array([place[from_bundles(items, groups).tobytes()] for groups in truth], dtype=np.intp)
    counts = np.array(weights, dtype=np.float32)[:, None]
    return _Likelihood(full, np.stack([upper(own) for own in pairs]), right, counts)


class _NBest:
    """A large session: its true partition, the first, and the most probable others."""

    def __init__(self, pairs: Floats, truth: Groups, weight: float) -> None:
        self.pairs, self.weight = pairs[:MAX_ITEMS, :MAX_ITEMS], weight
        items = len(self.pairs)
        self.labels = from_bundles(items, [[i for i in group if i < items] for group in truth])[None]
        self.features = self._features(self.labels)

    def search(self, weights: Weights) -> None:
        """Add the N_BEST partitions under these weights."""
        found, _ = beam.search(self.pairs, weights)
        known = {row.tobytes() for row in self.labels}
        new = np.array([row for row in found[:N_BEST] if row.tobytes() not in known], dtype=np.uint8)
        if len(new):
            self.labels = np.concatenate([self.labels, new])
            self.features = np.concatenate([self.features, self._features(new)])

    def _features(self, labels: Labels) -> Floats:
        return design(labels).features(upper(self.pairs))


@dataclass
class _NBestLikelihood:
    """Large sessions: the features of their partitions (R, w) one after another, and where each session begins.

    `counts` (sessions,) are the weights of the sessions.
    """

    features: Floats
    starts: NDArray[np.intp]
    counts: Floats

    @classmethod
    def of(cls, sessions: Sequence[_NBest]) -> _NBestLikelihood:
        """That of these sessions."""
        starts = np.cumsum([0, *(len(one.features) for one in sessions)])[:-1]
        counts = np.array([one.weight for one in sessions], dtype=np.float32)
        return cls(np.concatenate([one.features for one in sessions]), starts, counts)

    def loss(self, weights: Weights) -> tuple[float, Weights]:
        """The negative log likelihood of the true partitions among those found, and its gradient."""
        scores = self.features @ weights.astype(np.float32)
        rows = np.diff([*self.starts, len(scores)])
        top = np.maximum.reduceat(scores, self.starts)
        p = np.exp(scores - np.repeat(top, rows))
        total = np.add.reduceat(p, self.starts)
        value = (self.counts * (np.log(total) + top - scores[self.starts])).sum(dtype=np.float64)
        p /= np.repeat(total, rows)
        p[self.starts] -= 1
        p *= np.repeat(self.counts, rows)
        return float(value), (p @ self.features).astype(np.float64)


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

    def pairs(self) -> NDArray[np.float64]:
        """The probability that two items share a true bundle: (n, n)."""
        together = [(self.labels == own[:, None]).T @ self.probabilities for own in self.labels.T]
        return np.array(together)


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
