"""Micro precision, recall and F1 over the pairs of items that share a bundle."""

from __future__ import annotations

from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.definition import MetricDefinition


def pair_hits(session: MatchedSession) -> float:
    """The pairs that share a bundle in the prediction and in the truth."""
    return float(len(session.predicted_pairs & session.true_pairs))


def pairs_predicted(session: MatchedSession) -> float:
    """The pairs that share a valid predicted bundle."""
    return float(len(session.predicted_pairs))


def pairs_true(session: MatchedSession) -> float:
    """The pairs that share a true bundle."""
    return float(len(session.true_pairs))


def pairs_mean(session: MatchedSession) -> float:
    """The mean of predicted and true pairs: F1 is the hits over it."""
    return (len(session.predicted_pairs) + len(session.true_pairs)) / 2


PAIR_PRECISION = MetricDefinition("pair precision", "pairs", pair_hits, pairs_predicted)
PAIR_RECALL = MetricDefinition("pair recall", "pairs", pair_hits, pairs_true)
PAIR_F1 = MetricDefinition("pair F1", "quality", pair_hits, pairs_mean, tested=True)
