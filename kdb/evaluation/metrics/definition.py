"""What a metric is: a ratio of two sums over sessions; its mean, bootstrap and slices are one computation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kdb.evaluation.matched_session import MatchedSession

Count = Callable[[MatchedSession], float]
"""What one session adds to a sum; its name is that of the column in which the sums stand."""


@dataclass(frozen=True)
class MetricDefinition:
    """`title` is what people read; `group` the table that it stands in; `tested`: runs are compared by it."""

    title: str
    group: str
    numerator: Count
    denominator: Count
    tested: bool = False


def sessions(session: MatchedSession) -> float:
    """Every session counts once."""
    return 1.0


def answered(session: MatchedSession) -> float:
    """1 where the run has a prediction for the session."""
    return float(session.prediction is not None)
