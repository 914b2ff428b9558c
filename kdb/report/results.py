"""The scores of the runs on one domain, and what the paired tests say of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kdb.errors import KdbError
from kdb.records import Comparison, Metric
from kdb.report.factors import Factors, factors, labels
from kdb.stream import Line

ALPHA = 0.05
MAIN = "matched_f1"
"""The metric by which baselines are ranked and that the figures show."""


@dataclass
class Results:
    """Metrics by run and protocol, slices of them, and comparisons by protocol and pair of runs."""

    domain: str
    metrics: dict[tuple[str, str], Metric] = field(default_factory=dict)
    slices: list[Metric] = field(default_factory=list)
    comparisons: dict[tuple[str, str, str], Comparison] = field(default_factory=dict)

    @cached_property
    def runs(self) -> list[str]:
        """The runs, in the order of the records."""
        return list(dict.fromkeys(run for run, _ in self.metrics))

    @cached_property
    def labels(self) -> dict[str, str]:
        """What to call each run."""
        return labels(self.metrics.values())

    @cached_property
    def names(self) -> set[str]:
        """The names that runs were given."""
        return {str(name) for run in self.runs if (name := self.settings(run).get("name"))}

    def factors(self, run: str) -> Factors:
        """What was chosen for a run."""
        return factors(self.settings(run))

    def settings(self, run: str) -> dict[str, Any]:
        """The settings that its metrics carry."""
        return next(metric.settings for (its, _), metric in self.metrics.items() if its == run)

    def value(self, run: str, metric: str, protocol: str = "strict") -> float | None:
        """A score; None where it is undefined or not there."""
        found = self.metrics.get((run, protocol))
        return found.values.get(metric) if found else None

    def interval(self, run: str, metric: str, protocol: str = "strict") -> list[float] | None:
        """Its 95 % interval."""
        found = self.metrics.get((run, protocol))
        return found.intervals.get(metric) if found else None

    def difference(self, run: str, other: str, metric: str, protocol: str = "strict") -> tuple[float, float] | None:
        """First minus second and its Holm-corrected p; None where the records do not compare the two."""
        found = []
        for sign, pair in ((1, (run, other)), (-1, (other, run))):
            comparison = self.comparisons.get((protocol, *pair))
            gain = comparison.differences.get(metric) if comparison else None
            if comparison and gain is not None and metric in comparison.p_holm:
                found.append((sign * gain, comparison.p_holm[metric]))
        return max(found, key=lambda one: one[1], default=None)

    def best(self, runs: Sequence[str], metric: str, protocol: str = "strict") -> str | None:
        """The one of two or more runs that beats each other one with p < 0.05, if there is one."""
        for run in runs if len(runs) > 1 else ():
            gains = [self.difference(run, other, metric, protocol) for other in runs if other != run]
            if all(gain and gain[0] > 0 and gain[1] < ALPHA for gain in gains):
                return run
        return None

    @property
    def best_baseline(self) -> str | None:
        """The baseline with the highest matched F1."""
        known = {r: v for r in self.runs if self.is_baseline(r) and (v := self.value(r, MAIN)) is not None}
        return max(known, key=lambda run: known[run], default=None)

    def is_baseline(self, run: str) -> bool:
        """Whether a run needed no student."""
        return bool(self.settings(run).get("baseline"))


def collect(lines: Iterable[Line]) -> list[Results]:
    """The results by domain, from lines decoded as `metric` and `comparison`.

    The same record twice is taken once; KdbError where two disagree, or where there is no metric. Of two
    comparisons of the same runs, corrected over other pairs, the larger p is taken.
    """
    found: dict[str, Results] = {}
    for line in lines:
        record = line.record
        if isinstance(record, Metric):
            _add_metric(found.setdefault(record.domain, Results(record.domain)), record, line)
        elif isinstance(record, Comparison):
            _add_comparison(found.setdefault(record.domain, Results(record.domain)), record, line)
    if not any(results.metrics for results in found.values()):
        raise KdbError("no metric in the input", "kdb eval ... > metrics.jsonl; kdb report metrics.jsonl -o DIR")
    return [results for results in found.values() if results.metrics]


def _add_metric(results: Results, metric: Metric, line: Line) -> None:
    if metric.slice:
        results.slices += [] if metric in results.slices else [metric]
    elif results.metrics.setdefault((metric.run, metric.protocol), metric) != metric:
        raise line.error(
            f"run {metric.run!r} on {metric.domain!r} is scored twice, differently", "give the metrics of one eval"
        )


def _add_comparison(results: Results, comparison: Comparison, line: Line) -> None:
    key = (comparison.protocol, *comparison.runs)
    known = results.comparisons.setdefault(key, comparison)
    if known.differences != comparison.differences:
        raise line.error(f"runs {' and '.join(comparison.runs)} are compared twice, differently")
    for name, p in comparison.p_holm.items():
        known.p_holm[name] = max(p, known.p_holm.get(name, 0.0))
