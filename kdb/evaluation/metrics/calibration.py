"""The Brier score of the probabilities that bundles carry (Brier 1950): 0 is best.

The event is that the bundle is a hit under the strict protocol. The expected calibration error is no ratio of
sums over sessions: see `kdb.evaluation.calibration`.
"""

from __future__ import annotations

from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.definition import MetricDefinition


def squared_error(session: MatchedSession) -> float:
    """The sum of (probability - hit)² over the bundles that have a probability."""
    return sum((probability - hit) ** 2 for probability, hit in session.probabilities)


def with_probability(session: MatchedSession) -> float:
    """The predicted bundles that have a probability."""
    return float(len(session.probabilities))


BRIER = MetricDefinition("Brier score", "calibration", squared_error, with_probability)
