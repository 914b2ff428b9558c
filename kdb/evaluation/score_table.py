"""The scores of one run on one domain: a row of numbers a session, and the metrics that follow from them.

Every metric is a ratio of two column sums, so the mean, its bootstrap and a slice are the same computation.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdb.evaluation import PROTOCOLS, bootstrap, definitions
from kdb.evaluation.matched_session import DIGITS, MatchedSession
from kdb.evaluation.metrics.definition import Count, MetricDefinition
from kdb.records import Run

MetricDefinitions = Mapping[str, MetricDefinition]
Values = dict[str, float | None]
Intervals = dict[str, tuple[float, float]]


def columns() -> tuple[Count, ...]:
    """What the rows of a table count: each numerator and denominator of the metrics once."""
    used = (definitions(protocol).values() for protocol in PROTOCOLS)
    counts = (count for metrics in used for m in metrics for count in (m.numerator, m.denominator))
    return tuple(dict.fromkeys(counts))


@dataclass
class ScoreTable:
    """One row for each session, in the order in which they came; `rows` numbers them by session id.

    `identities` hashes what was to be predicted, row by row; `probabilities` holds (row, probability, hit) of
    each bundle that has a probability.
    """

    columns: tuple[Count, ...] = field(default_factory=columns)
    rows: dict[str, int] = field(default_factory=dict)
    identities: array[int] = field(default_factory=lambda: array("q"))
    probabilities: array[float] = field(default_factory=lambda: array("d"))
    _cells: array[float] = field(default_factory=lambda: array("d"))

    def add(self, session: str, matched: MatchedSession) -> None:
        """Put a session behind the others."""
        for probability, hit in matched.probabilities:
            self.probabilities.extend((len(self.rows), probability, hit))
        self.add_row(session, [count(matched) for count in self.columns], matched.identity)

    def add_row(self, session: str, row: Iterable[float], identity: int) -> None:
        """Put a session behind the others, given what it counts."""
        self.rows[session] = len(self.rows)
        self._cells.extend(row)
        self.identities.append(identity)

    def increase(self, session: str, column: str, amount: float) -> None:
        """Add to one number of a session."""
        place = self.names.index(column)
        self._cells[self.rows[session] * len(self.columns) + place] += amount

    def identity(self, session: str) -> int:
        """The hash of what was to be predicted."""
        return self.identities[self.rows[session]]

    @property
    def names(self) -> list[str]:
        """The columns by name."""
        return [count.__name__ for count in self.columns]

    @property
    def table(self) -> np.ndarray:
        """The rows as a matrix with the columns `columns`, once all are added."""
        return np.frombuffer(self._cells).reshape(-1, len(self.columns))

    def of(self, sessions: Sequence[str]) -> np.ndarray:
        """The rows of these sessions, in their order."""
        order = [self.rows[session] for session in sessions]
        return self.table if order == list(range(len(self.rows))) else self.table[order]

    def probabilities_of(self, sessions: Sequence[str]) -> np.ndarray:
        """(place of the session, probability, hit) of the bundles that have a probability: (bundles, 3)."""
        found = np.frombuffer(self.probabilities).reshape(-1, 3)
        places = np.full(len(self.rows), -1)
        places[[self.rows[session] for session in sessions]] = np.arange(len(sessions))
        place = places[found[:, 0].astype(int)]
        return np.column_stack([place, found[:, 1:]])[place >= 0]


def metric_values(sums: np.ndarray, metrics: MetricDefinitions, columns: Sequence[Count]) -> np.ndarray:
    """The metrics from column sums (..., columns): (..., metrics); NaN where undefined."""
    places = {count: n for n, count in enumerate(columns)}
    numerators = [places[metric.numerator] for metric in metrics.values()]
    return bootstrap.ratios(sums, numerators, [places[metric.denominator] for metric in metrics.values()])


@dataclass
class ResampledSums:
    """The column sums of some sessions, and those of their bootstrap resamples (resamples, columns)."""

    sums: np.ndarray
    samples: np.ndarray
    columns: tuple[Count, ...]

    @classmethod
    def of(cls, table: np.ndarray, columns: tuple[Count, ...], seed: int) -> ResampledSums:
        """From the rows of at least one session."""
        return cls(table.sum(axis=0), bootstrap.resampled_sums(table, seed), columns)

    def total(self, column: str) -> float:
        """The sum of one column."""
        return float(self.sums[[count.__name__ for count in self.columns].index(column)])

    def values(self, metrics: MetricDefinitions) -> Values:
        """The metrics; None where undefined."""
        return named(metric_values(self.sums, metrics, self.columns), metrics)

    def intervals(self, metrics: MetricDefinitions) -> Intervals:
        """Their 95 % intervals."""
        return intervals(metric_values(self.samples, metrics, self.columns), metrics)


@dataclass(eq=False)
class RunScores:
    """A run on a domain: its rows, for the same sessions in the same order as every other run's.

    A run with several seeds has the means of their rows, and `seeds` holds the runs.
    """

    id: str
    run: Run | None
    table: np.ndarray
    whole: ResampledSums
    probabilities: np.ndarray
    seeds: list[RunScores] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, Any]:
        """What the run record says that was chosen."""
        return self.run.settings if self.run else {}

    @property
    def columns(self) -> tuple[Count, ...]:
        """What the rows count."""
        return self.whole.columns

    def is_duplicate_of(self, other: RunScores) -> bool:
        """Whether both answered every session alike, as far as any tested metric can tell."""
        tested = [n for n, count in enumerate(self.columns) if count in _tested()]
        return bool((self.table[:, tested] == other.table[:, tested]).all())


def _tested() -> set[Count]:
    metrics = [metric for protocol in PROTOCOLS for metric in definitions(protocol).values() if metric.tested]
    return {count for metric in metrics for count in (metric.numerator, metric.denominator)}


def named(values: np.ndarray, metrics: Iterable[str]) -> Values:
    """The values by metric, rounded; None where undefined."""
    return {
        name: None if np.isnan(value) else round(float(value), DIGITS)
        for name, value in zip(metrics, values, strict=True)
    }


def intervals(samples: np.ndarray, metrics: Iterable[str]) -> Intervals:
    """The 95 % intervals of resampled values (resamples, metrics), rounded; undefined ones are left out."""
    found = {name: bootstrap.interval(samples[:, n]) for n, name in enumerate(metrics)}
    return {name: (round(b[0], DIGITS), round(b[1], DIGITS)) for name, b in found.items() if b}
