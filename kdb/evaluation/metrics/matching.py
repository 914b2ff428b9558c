"""Matched F1 and exact sessions: each predicted bundle answers for one true bundle at most."""

from __future__ import annotations

from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.definition import MetricDefinition, sessions


def matched_f1(session: MatchedSession) -> float:
    """2 ΣJ / (|P| + |G|) under the assignment with the largest sum of Jaccard similarities J."""
    if session.is_rightly_empty:
        return 1.0
    bundles = len(session.predicted) + len(session.true)
    return 2 * sum(j for _, _, j in session.pairing) / max(bundles, 1)


def exact(session: MatchedSession) -> float:
    """1 where the predicted bundles are the true ones."""
    return float(session.predicted == session.true and not (session.failed and not session.true))


MATCHED_F1 = MetricDefinition("matched F1", "quality", matched_f1, sessions, tested=True)
EXACT = MetricDefinition("exact", "quality", exact, sessions, tested=True)
