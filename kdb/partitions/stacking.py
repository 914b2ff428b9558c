"""Stacking that cannot harm: a learner's log odds become a pair feature only if they help on held-out sessions.

Each learner must have been cross-fitted. The learners are tried in order, each on top of the features before it.
The partition model is fitted with it and without it on some folds, and asked how probable the true bundles of the
others are. The learner stays if the mean gain in log likelihood over sessions is more than its standard error (the
one-standard-error rule of Breiman et al., 1984). A simpler model, of single pairs, would not do: a learner that
reads a whole session gains much there by what the partition model knows anyway, such as how large bundles are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdb.partitions import crf
from kdb.partitions.enumeration import Floats

MIN_GAIN = 0.005
"""Nats a session: a smaller gain comes of the prior alone, and is not worth reading a learner for."""


@dataclass(frozen=True)
class Gain:
    """What a learner adds on held-out sessions: mean nats a session and its standard error over sessions."""

    mean: float
    standard_error: float

    @classmethod
    def of(cls, gained: NDArray[np.float64]) -> Gain:
        """By the nats that each session gained; nothing where there is one at most."""
        if len(gained) < 2:
            return cls(0.0, 0.0)
        return cls(float(gained.mean()), float(gained.std(ddof=1) / np.sqrt(len(gained))))

    @property
    def helps(self) -> bool:
        """Whether it is more than chance would often make of nothing."""
        return self.mean > max(self.standard_error, MIN_GAIN)

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ± {self.standard_error:.4f} nats a session"


@dataclass
class Stacked:
    """A fitted partition model: its weights, which pair features are active, and what each learner gained."""

    weights: crf.Weights
    active: list[bool]
    gains: list[Gain]


def fit(
    pairs: Sequence[Floats],
    truth: Sequence[crf.Groups],
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
    if not learners:
        return Stacked(crf.fit(pairs, truth, session_weights=session_weights), active, [])
    gains = []
    weights, before = _fit_and_judge(pairs, truth, folds, active, session_weights)
    for column in range(count - learners, count):
        tried = [own or n == column for n, own in enumerate(active)]
        with_it, after = _fit_and_judge(pairs, truth, folds, tried, session_weights)
        gains.append(Gain.of(after - before))
        if gains[-1].helps:
            active, weights, before = tried, with_it, after
    return Stacked(weights, active, gains)


def _fit_and_judge(
    pairs: Sequence[Floats],
    truth: Sequence[crf.Groups],
    folds: Sequence[int],
    active: Sequence[bool],
    session_weights: Sequence[float] | None,
) -> tuple[crf.Weights, NDArray[np.float64]]:
    """The weights fitted to all sessions, and what models that were fitted on the other folds say of each.

    That is the log likelihood of the sessions of two or more items. From the weights of all sessions those of the
    other folds are soon found.
    """
    weights = crf.fit(pairs, truth, active=active, session_weights=session_weights)
    sessions = crf.TrainingSessions(pairs, truth, session_weights)
    sessions.search(weights)
    found = np.empty(len(pairs))
    for fold in set(folds):
        members = [n for n, own in enumerate(folds) if own != fold]
        without = sessions.fit(members, weights, active=active)
        for n in set(range(len(pairs))).difference(members):
            found[n] = sessions.log_likelihood(n, without)
    return weights, found[[len(own) > 1 for own in pairs]]
