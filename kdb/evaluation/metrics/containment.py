"""Precision, recall and coverage by containment: a predicted bundle hits if it lies within a true one.

`strict` (default): precision = hits / predictions; recall = true bundles that contain a hit / true bundles;
coverage = mean over the hits of the largest |p| / |g|; a session without a valid prediction scores 0.
`released`: as the code released with AICL (arXiv 2312.16262) scores, without its last-digit index bug: recall
counts predictions, sessions without a parsed prediction leave the mean, and coverage takes the first true
bundle around the prediction.
"""

from __future__ import annotations

from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.definition import MetricDefinition, sessions


def precision(session: MatchedSession) -> float:
    """The share of the predicted bundles that are hits."""
    if session.is_rightly_empty:
        return 1.0
    return len(session.hit_shares) / max(len(session.predicted), 1)


def recall(session: MatchedSession) -> float:
    """The share of the true bundles that contain a hit."""
    if session.is_rightly_empty:
        return 1.0
    found = sum(any(p <= g for p in session.valid) for g in session.true)
    return found / max(len(session.true), 1)


def hits(session: MatchedSession) -> float:
    """The predicted bundles that lie within a true one."""
    return float(len(session.hit_shares))


def coverage(session: MatchedSession) -> float:
    """The sum over the hits of the largest |p| / |g|."""
    return sum(map(max, session.hit_shares))


def parsed(session: MatchedSession) -> float:
    """1 where anything was predicted."""
    return float(bool(session.predicted))


def released_precision(session: MatchedSession) -> float:
    """The share of the predicted bundles that are hits, 0 where nothing was predicted."""
    return len(session.hit_shares) / max(len(session.predicted), 1)


def released_recall(session: MatchedSession) -> float:
    """Hits for each true bundle, which can pass 1."""
    return len(session.hit_shares) / max(len(session.true), 1)


def released_coverage(session: MatchedSession) -> float:
    """The sum over the hits of |p| / |g| for the first true bundle around the prediction."""
    return sum(next((len(p) / len(set(g)) for g in session.truth if p.issubset(g)), 0.0) for p in session.valid)


PRECISION = MetricDefinition("precision", "quality", precision, sessions, tested=True)
RECALL = MetricDefinition("recall", "quality", recall, sessions, tested=True)
COVERAGE = MetricDefinition("coverage", "quality", coverage, hits, tested=True)
RELEASED_PRECISION = MetricDefinition("precision", "quality", released_precision, parsed, tested=True)
RELEASED_RECALL = MetricDefinition("recall", "quality", released_recall, parsed, tested=True)
RELEASED_COVERAGE = MetricDefinition("coverage", "quality", released_coverage, hits, tested=True)
