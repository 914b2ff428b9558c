"""The baseline that students are compared with: named, or the best one on validation; never chosen on test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kdb import console
from kdb.errors import KdbError
from kdb.evaluation import PRIMARY_METRIC
from kdb.evaluation.families import declared_baseline, is_baseline, name_of
from kdb.evaluation.score_table import RunScores
from kdb.records import Metric, Record

REFERENCE_HINT = "--reference METRICS takes the best one on validation"


@dataclass(frozen=True)
class Reference:
    """Runs by name, baseline or id, the best first: the first of them that is there is meant.

    Without a name it is the baseline of the strongest design, or where there is none the first run.
    """

    names: tuple[str, ...] = ()
    source: str = ""
    """The file that ranked them; named by a person without one, the run has to be there."""

    @classmethod
    def best_of(cls, metrics: Iterable[Record | None], source: str) -> Reference:
        """Baselines by falling matched F1, of metrics on other sessions."""
        own = (m for m in metrics if isinstance(m, Metric) and is_baseline(m.settings) and not m.seeds)
        names = ranked(own, lambda metric: name_of(metric.settings))
        if not names:
            raise KdbError(f"{source}: no metric of a baseline", "kdb eval VALIDATION_PREDICTIONS > metrics.jsonl")
        return cls(tuple(names), source)

    def among(self, runs: Sequence[RunScores], domain: str, known: Iterable[str] = ()) -> RunScores | None:
        """The run that is meant, or the one that stands in for it, which is said; None where a run is alone.

        `known` names baselines from the weakest design on.
        """
        for place, name in enumerate(self.names):
            for run in runs:
                if name in (run.id, run.settings.get("name"), run.settings.get("baseline")):
                    if place:
                        console.warn(f"{domain}: {self.names[0]} was not run here; compared with {name}")
                    return run
        if self.names and self.source:
            console.warn(f"{domain}: no baseline of {self.source} was run here")
        elif self.names:
            raise KdbError(f"--reference {self.names[0]}: {domain!r} has no such run", "give its predictions too")
        if len(runs) < 2:
            return None
        baseline = declared_baseline(runs, known)
        if baseline and sum(is_baseline(run.settings) for run in runs) > 1:
            which, hint = f"{name_of(baseline.settings)}, the baseline of the strongest design", REFERENCE_HINT
            console.say(f"{domain}: compared with {which}; {hint}")
        elif not baseline:
            first = name_of(runs[0].settings) or runs[0].id
            console.say(f"{domain}: no baseline here; compared with the first run, {first}")
        return baseline or runs[0]


def ranked(metrics: Iterable[Record | None], key: Callable[[Metric], str]) -> list[str]:
    """The runs, as `key` names them, by falling matched F1, the mean over domains; equal ones in their order."""
    values: dict[str, list[float]] = {}
    for metric in metrics:
        if isinstance(metric, Metric) and metric.protocol == "strict" and not metric.slice:
            values.setdefault(key(metric), []).append(metric.values[PRIMARY_METRIC] or 0.0)
    return sorted(values, key=lambda name: -sum(values[name]) / len(values[name]))
