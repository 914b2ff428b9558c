"""What a session costs: tokens, seconds and US dollars as the predictions record them."""

from __future__ import annotations

from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.definition import MetricDefinition, answered


def prompt_tokens(session: MatchedSession) -> float:
    """Tokens read."""
    return float(session.prediction.usage.prompt_tokens) if session.prediction else 0.0


def completion_tokens(session: MatchedSession) -> float:
    """Tokens written."""
    return float(session.prediction.usage.completion_tokens) if session.prediction else 0.0


def seconds(session: MatchedSession) -> float:
    """Seconds until the answer."""
    return session.prediction.seconds if session.prediction else 0.0


def dollars(session: MatchedSession) -> float:
    """US dollars, where they are known."""
    return (session.prediction.usage.cost or 0.0) if session.prediction else 0.0


def paid(session: MatchedSession) -> float:
    """1 where the cost is known."""
    return float(session.prediction is not None and session.prediction.usage.cost is not None)


PROMPT_TOKENS = MetricDefinition("tokens in", "cost", prompt_tokens, answered)
COMPLETION_TOKENS = MetricDefinition("tokens out", "cost", completion_tokens, answered)
SECONDS = MetricDefinition("seconds", "cost", seconds, answered)
DOLLARS = MetricDefinition("US dollars", "cost", dollars, paid)
