"""Stacking that cannot harm: a learner's log odds become a pair feature only if they help on held-out sessions.

Each learner must have been cross-fitted. The learners are tried in order, each on top of the features before it: a
logistic regression on pairs with it and one without it are fitted on some sessions and compared on the others. It
stays if the mean gain in cross-entropy over sessions is more than its standard error (the one-standard-error rule
of Breiman et al., 1984). The partition model is then fitted once, on all sessions and the features that stayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdb.partitions import crf
from kdb.partitions.enumeration import Floats

PENALTY = 0.1
"""The precision of the prior of the logistic regressions' weights."""
MIN_GAIN = 0.001
"""Nats a pair: a smaller gain comes of the penalty alone, and is not worth reading a learner for."""


@dataclass(frozen=True)
class Gain:
    """What a learner adds on held-out sessions: mean nats a pair and its standard error over sessions."""

    mean: float
    standard_error: float

    @property
    def helps(self) -> bool:
        """Whether it is more than chance would often make of nothing."""
        return self.mean > max(self.standard_error, MIN_GAIN)

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ± {self.standard_error:.4f} nats a pair"


@dataclass
class Stacked:
    """A fitted partition model: its weights, which pair features are active, and what each learner gained."""

    weights: crf.Weights
    active: list[bool]
    gains: list[Gain]


def fit(
    pairs: Sequence[Floats],
    truth: Sequence[Sequence[Sequence[int]]],
    folds: Sequence[int],
    learners: int,
    session_weights: Sequence[float] | None = None,
) -> Stacked:
    """Fit the partition model to (n, n, k) pair features, of which the last `learners` are those of learners.

    `truth` holds the true groups of positions of each session, and `folds` its fold. The partition model counts
    sessions by their weights; whether a learner helps is asked of all alike.
    """
    count = pairs[0].shape[2]
    active = [n < count - learners for n in range(count)]
    gains = []
    for column in range(count - learners, count):
        gains.append(gain(pairs, truth, folds, active, column))
        active[column] = gains[-1].helps
    return Stacked(crf.fit(pairs, truth, active=active, session_weights=session_weights), active, gains)


def gain(
    pairs: Sequence[Floats],
    truth: Sequence[Sequence[Sequence[int]]],
    folds: Sequence[int],
    active: Sequence[bool],
    column: int,
) -> Gain:
    """What the feature `column` adds to the active ones on held-out sessions."""
    rows, targets = zip(*(_flat(own, groups) for own, groups in zip(pairs, truth, strict=True)), strict=True)
    with_it = [*active]
    with_it[column] = True
    before = _held_out(rows, targets, folds, active)
    after = _held_out(rows, targets, folds, with_it)
    gained = np.array([b - a for b, a in zip(before, after, strict=True)])
    if len(gained) < 2:
        return Gain(0.0, 0.0)
    return Gain(float(gained.mean()), float(gained.std(ddof=1) / np.sqrt(len(gained))))


def _flat(pairs: Floats, groups: Sequence[Sequence[int]]) -> tuple[Floats, NDArray[np.bool_]]:
    together = np.zeros(pairs.shape[:2], dtype=bool)
    for group in groups:
        together[np.ix_(list(group), list(group))] = True
    places = np.triu_indices(len(pairs), 1)
    return pairs[places], together[places]


def _held_out(
    rows: Sequence[Floats], targets: Sequence[NDArray[np.bool_]], folds: Sequence[int], active: Sequence[bool]
) -> list[float]:
    """The mean cross-entropy of each session's pairs by a regression fitted on the other folds."""
    from sklearn.linear_model import LogisticRegression

    columns = np.flatnonzero(active)
    found = []
    for fold in sorted(set(folds)):
        known = [n for n, own in enumerate(folds) if own != fold]
        x = np.concatenate([rows[n][:, columns] for n in known])
        y = np.concatenate([targets[n] for n in known])
        rate = np.clip(y.mean() if len(y) else 0.5, 1e-3, 1 - 1e-3)
        model = (
            LogisticRegression(C=1 / PENALTY, max_iter=1000).fit(x, y)
            if len(columns) and 0 < y.sum() < len(y)
            else None
        )
        for n in (n for n, own in enumerate(folds) if own == fold and len(targets[n])):
            z = model.decision_function(rows[n][:, columns]) if model else np.log(rate / (1 - rate))
            found.append(float(np.mean(np.logaddexp(0, z) - targets[n] * z)))
    return found
