"""Intents of matched bundles: their similarity to the true ones, and a teacher's ratings of them."""

from __future__ import annotations

from msgspec import UnsetType

from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.definition import MetricDefinition
from kdb.records import Rating


def intent_similarity(session: MatchedSession) -> float:
    """The sum of the cosines of predicted and true intents; added for all sessions at once, once all are read."""
    return 0.0


def intents(session: MatchedSession) -> float:
    """The matched bundles whose intents were compared; added with `intent_similarity`."""
    return 0.0


def naturalness(session: MatchedSession) -> float:
    """The sum of the ratings of naturalness."""
    return float(sum(rating.naturalness for rating in _ratings(session)))


def intent_coverage(session: MatchedSession) -> float:
    """The sum of the ratings of coverage."""
    return float(sum(rating.coverage for rating in _ratings(session)))


def motivation(session: MatchedSession) -> float:
    """The sum of the ratings of motivation."""
    return float(sum(rating.motivation for rating in _ratings(session)))


def rated(session: MatchedSession) -> float:
    """The bundles whose intent a teacher has rated."""
    return float(len(_ratings(session)))


def _ratings(session: MatchedSession) -> list[Rating]:
    ratings = session.prediction.ratings if session.prediction else []
    return [] if isinstance(ratings, UnsetType) else ratings


INTENT_SIMILARITY = MetricDefinition("intent similarity", "intents", intent_similarity, intents)
NATURALNESS = MetricDefinition("naturalness of intents", "intents", naturalness, rated)
INTENT_COVERAGE = MetricDefinition("coverage of intents", "intents", intent_coverage, rated)
MOTIVATION = MetricDefinition("motivation of intents", "intents", motivation, rated)
