"""The scores of one run on one domain: a row of numbers a session, and the metrics that follow from them.

Every metric is a ratio of two column sums, so the mean, its bootstrap and a slice are the same computation.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from msgspec import UnsetType

from kdb.evaluation import bootstrap
from kdb.evaluation.metrics import RELEASED, STRICT, SessionSums
from kdb.records import Prediction, Run

MetricDefinitions = Mapping[str, tuple[str, str]]
DIGITS = 6


class AnswerStats(NamedTuple):
    """How one answer came about and what it cost."""

    length: float = 0.0  # items in the session
    answered: float = 0.0  # 0 where the run has no prediction for the session
    failed: float = 1.0
    repaired: float = 0.0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    seconds: float = 0.0
    dollars: float = 0.0
    paid: float = 0.0  # 1 where the cost is known
    intent_similarity: float = 0.0  # sum over matched bundles that have two intents
    intents: float = 0.0
    naturalness: float = 0.0  # sums over the bundles whose intent a teacher has rated
    intent_coverage: float = 0.0
    motivation: float = 0.0
    rated: float = 0.0


COLUMNS = SessionSums._fields + AnswerStats._fields
COST_METRICS: MetricDefinitions = {
    "failed": ("failed", "sessions"),
    "repaired": ("repaired", "sessions"),
    "prompt_tokens": ("prompt_tokens", "answered"),
    "completion_tokens": ("completion_tokens", "answered"),
    "seconds": ("seconds", "answered"),
    "dollars": ("dollars", "paid"),
    "intent_similarity": ("intent_similarity", "intents"),
    "naturalness": ("naturalness", "rated"),
    "intent_coverage": ("intent_coverage", "rated"),
    "motivation": ("motivation", "rated"),
}
"""Beside quality, a session: answers that failed, tokens, seconds, US dollars; and intents, a bundle."""

PROTOCOLS: dict[str, MetricDefinitions] = {"strict": {**STRICT, **COST_METRICS}, "released": RELEASED}


def outcome(prediction: Prediction) -> AnswerStats:
    """The outcome that a prediction records."""
    usage = prediction.usage
    ratings = [] if isinstance(prediction.ratings, UnsetType) else prediction.ratings
    return AnswerStats(
        length=len(prediction.items),
        answered=1.0,
        failed=prediction.status == "failed",
        repaired=prediction.status == "repaired",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        seconds=prediction.seconds,
        dollars=usage.cost or 0.0,
        paid=usage.cost is not None,
        naturalness=sum(rating.naturalness for rating in ratings),
        intent_coverage=sum(rating.coverage for rating in ratings),
        motivation=sum(rating.motivation for rating in ratings),
        rated=len(ratings),
    )


@dataclass
class ScoreTable:
    """One row for each session, in the order in which they came; `rows` numbers them by session id."""

    rows: dict[str, int] = field(default_factory=dict)
    _cells: array[float] = field(default_factory=lambda: array("d"))

    def add(self, session: str, score: SessionSums, outcome: AnswerStats) -> None:
        """Put a session behind the others."""
        self.rows[session] = len(self.rows)
        self._cells.extend(score)
        self._cells.extend(outcome)

    def increase(self, session: str, column: str, amount: float) -> None:
        """Add to one number of a session."""
        self._cells[self.rows[session] * len(COLUMNS) + COLUMNS.index(column)] += amount

    @property
    def table(self) -> np.ndarray:
        """The rows as a matrix with the columns `COLUMNS`, once all are added."""
        return np.frombuffer(self._cells).reshape(-1, len(COLUMNS))

    def of(self, sessions: Sequence[str]) -> np.ndarray:
        """The rows of these sessions, in their order."""
        order = [self.rows[session] for session in sessions]
        return self.table if order == list(range(len(self.rows))) else self.table[order]


def metric_values(sums: np.ndarray, metrics: MetricDefinitions) -> np.ndarray:
    """The metrics from column sums (..., COLUMNS): (..., metrics); NaN where undefined."""
    tops, bottoms = zip(*metrics.values(), strict=True)
    return bootstrap.ratios(sums, [COLUMNS.index(c) for c in tops], [COLUMNS.index(c) for c in bottoms])


@dataclass
class ResampledSums:
    """The column sums of some sessions, and those of their bootstrap resamples."""

    sums: np.ndarray
    samples: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray, seed: int) -> ResampledSums:
        """From the rows of at least one session."""
        return cls(table.sum(axis=0), bootstrap.resampled_sums(table, seed))

    def total(self, column: str) -> float:
        """The sum of one column."""
        return float(self.sums[COLUMNS.index(column)])

    def values(self, metrics: MetricDefinitions) -> dict[str, float | None]:
        """The metrics; None where undefined."""
        return named(metric_values(self.sums, metrics), metrics)

    def intervals(self, metrics: MetricDefinitions) -> dict[str, list[float]]:
        """Their 95 % intervals."""
        return intervals(metric_values(self.samples, metrics), metrics)


@dataclass
class RunScores:
    """A run on a domain: its rows, for the same sessions in the same order as every other run's."""

    id: str
    run: Run | None
    table: np.ndarray
    whole: ResampledSums


def named(values: np.ndarray, metrics: MetricDefinitions) -> dict[str, float | None]:
    """The values by metric, rounded; None where undefined."""
    return {
        name: None if np.isnan(value) else round(float(value), DIGITS)
        for name, value in zip(metrics, values, strict=True)
    }


def intervals(samples: np.ndarray, metrics: MetricDefinitions) -> dict[str, list[float]]:
    """The 95 % intervals of resampled values (resamples, metrics), rounded; undefined ones are left out."""
    found = {name: bootstrap.interval(samples[:, n]) for n, name in enumerate(metrics)}
    return {name: [round(bound, DIGITS) for bound in bounds] for name, bounds in found.items() if bounds}
