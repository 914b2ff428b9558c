"""How hard a session is: 1 - F1 of what was first said about it, by the teacher or by a student."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import UnsetType

from kdb.evaluation.matched_session import matched_f1
from kdb.records import FirstAttempt, Knowledge, Prediction, SessionKey


def of_rules(knowledge: Iterable[Knowledge]) -> dict[SessionKey, float]:
    """The teacher's first-round error on each session that a rule was drawn from."""
    errors: dict[SessionKey, list[float]] = {}
    for piece in knowledge:
        for session, first in _first_attempts(piece).items():
            errors.setdefault((piece.domain, session), []).append(_error(first))
    return {key: sum(own) / len(own) for key, own in errors.items()}


def of_predictions(predictions: Iterable[Prediction]) -> dict[SessionKey, float]:
    """1 - matched Jaccard F1 of each session with a known truth, the mean over its predictions."""
    errors: dict[SessionKey, list[float]] = {}
    for prediction in predictions:
        if prediction.truth is not None:
            predicted = [bundle.items for bundle in prediction.bundles]
            f1 = matched_f1(predicted, [bundle.items for bundle in prediction.truth])
            errors.setdefault(prediction.key, []).append(1 - f1)
    return {key: sum(own) / len(own) for key, own in errors.items()}


def of_knowledge(piece: Knowledge, sessions: Mapping[SessionKey, float]) -> float | None:
    """The mean difficulty of the sessions that a piece was drawn from; None where none of them is known."""
    keys = [(piece.domain, session) for session in piece.source.sessions]
    known = [sessions[key] for key in keys if key in sessions]
    return sum(known) / len(known) if known else None


def _first_attempts(rule: Knowledge) -> Mapping[str, FirstAttempt]:
    """By session; a rule that only has a mean over its sessions lends it to each of them."""
    if not isinstance(rule.first_attempts, UnsetType):
        return rule.first_attempts
    if not isinstance(rule.first_attempt, UnsetType):
        return dict.fromkeys(rule.source.sessions, rule.first_attempt)
    return {}


def _error(first: FirstAttempt) -> float:
    total = first.precision + first.recall
    return 1 - 2 * first.precision * first.recall / total if total else 1.0
