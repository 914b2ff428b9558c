"""What is wrong with the answers, and how large they are."""

from __future__ import annotations

from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.definition import MetricDefinition, sessions


def predicted(session: MatchedSession) -> float:
    """The distinct predicted bundles, invalid ones included."""
    return float(len(session.predicted))


def true(session: MatchedSession) -> float:
    """The distinct true bundles."""
    return float(len(session.true))


def invalid(session: MatchedSession) -> float:
    """The predicted bundles of fewer than two items, or with items that are not in the session."""
    return float(len(session.predicted) - len(session.valid))


def items_predicted(session: MatchedSession) -> float:
    """The items of the predicted bundles."""
    return float(sum(map(len, session.predicted)))


def items_true(session: MatchedSession) -> float:
    """The items of the true bundles."""
    return float(sum(map(len, session.true)))


def hallucinated(session: MatchedSession) -> float:
    """Those of the predicted items that are not in the session."""
    return float(sum(len(p - session.items) for p in session.predicted))


def failed(session: MatchedSession) -> float:
    """1 where no bundle could be read from the answer, or there is none."""
    return float(session.failed)


def repaired(session: MatchedSession) -> float:
    """1 where the answer did not fit its format, and bundles could be read from it all the same."""
    return float(session.prediction is not None and session.prediction.status == "repaired")


def length(session: MatchedSession) -> float:
    """The items of the session."""
    return float(len(session.items))


INVALID = MetricDefinition("invalid bundles", "answers", invalid, predicted)
HALLUCINATED = MetricDefinition("hallucinated items", "answers", hallucinated, items_predicted)
FAILED = MetricDefinition("failed answers", "answers", failed, sessions)
REPAIRED = MetricDefinition("repaired answers", "answers", repaired, sessions)
BUNDLES_PREDICTED = MetricDefinition("bundles a session", "sizes", predicted, sessions)
BUNDLES_TRUE = MetricDefinition("true bundles a session", "sizes", true, sessions)
SIZE_PREDICTED = MetricDefinition("items a bundle", "sizes", items_predicted, predicted)
SIZE_TRUE = MetricDefinition("items a true bundle", "sizes", items_true, true)
SESSION_LENGTH = MetricDefinition("items a session", "sizes", length, sessions)
