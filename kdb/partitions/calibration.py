"""From the probability that a partition model gives a bundle to how often such bundles do lie within a true one.

The model's own probabilities are too low: true bundles of a session may overlap, and a partition has each item
once. Two numbers, fitted on held-out sessions, set that right: a logistic regression on the log odds (Platt,
1999). It keeps the order of bundles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdb.partitions import crf, mbr
from kdb.partitions.enumeration import Floats

FOLDS = 5
MIN_BUNDLES = 20
"""Fewer bundles of held-out sessions say too little: their probabilities stay as they are."""
LIMIT = 1e-6
"""Probabilities nearer to 0 or 1 count as that near."""

MAX_SESSIONS = 300
"""So many sessions are decoded: enough for two numbers."""


@dataclass(frozen=True)
class PlattScaling:
    """p becomes sigmoid(slope * logit(p) + intercept); slope is never negative."""

    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> PlattScaling:
        """The one with these two numbers, as `array` gives them."""
        return cls(*values.tolist())

    def array(self) -> NDArray[np.float64]:
        """Slope and intercept, to be kept beside a model."""
        return np.array([self.slope, self.intercept])

    def __call__(self, probability: float) -> float:
        """The calibrated probability."""
        return 1 / (1 + math.exp(-self.slope * _logit(probability) - self.intercept))


def fit(probabilities: Sequence[float], hits: Sequence[bool]) -> PlattScaling:
    """The calibration under which these hits are the most probable; none where too few or all alike were seen."""
    if len(hits) < MIN_BUNDLES or len(set(hits)) < 2:
        return PlattScaling()
    from sklearn.linear_model import LogisticRegression

    odds = np.array([[_logit(p)] for p in probabilities])
    model = LogisticRegression().fit(odds, hits)
    slope = float(model.coef_[0, 0])
    return PlattScaling(slope, float(model.intercept_[0])) if slope > 0 else PlattScaling()


def cross_fit(
    pairs: Sequence[Floats],
    truth: Sequence[crf.Groups],
    weights: crf.Weights,
    utility: str,
    prior: crf.Weights | None = None,
    precision: float = crf.PRECISION,
    session_weights: Sequence[float] | None = None,
) -> PlattScaling:
    """The calibration of a model with these `weights`, which were fitted to these sessions (see `crf.fit`).

    Each of the first MAX_SESSIONS is decoded by weights that were fitted without its fold (the session's number
    modulo FOLDS), so nothing is learnt from answers that the weights have seen.
    """
    if len(pairs) < FOLDS:
        return PlattScaling()
    sessions = crf.TrainingSessions(pairs, truth, session_weights)
    sessions.search(weights)
    probabilities, hits = [], []
    for fold in range(FOLDS):
        own = sessions.fit([n for n in range(len(pairs)) if n % FOLDS != fold], weights, prior, precision)
        for n in range(fold, min(len(pairs), MAX_SESSIONS), FOLDS):
            for bundle in mbr.decode(pairs[n], own, utility):
                probabilities.append(bundle.probability)
                hits.append(any(set(bundle.positions) <= set(group) for group in truth[n]))
    return fit(probabilities, hits)


def _logit(p: float) -> float:
    p = min(max(p, LIMIT), 1 - LIMIT)
    return math.log(p / (1 - p))
