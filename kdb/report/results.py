"""The scores of the runs on one domain; several seeds of one run are one recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from msgspec import structs

from kdb.errors import KdbError, UsageError
from kdb.evaluation import PRIMARY_METRIC as PRIMARY
from kdb.evaluation import titles
from kdb.evaluation.contrasts import Contrast, family, references
from kdb.evaluation.families import BASELINE, BASELINES, is_baseline
from kdb.evaluation.labels import labels
from kdb.io.stream import Line
from kdb.records import Calibration, Comparison, Metric
from kdb.report.factors import Factors, Settings, factors, tags_of

CHOSEN = "chosen on validation"


@dataclass(frozen=True)
class Recipe:
    """What was run: `run` is its id in the records, or that of all its seeds together, which `seeds` names."""

    name: str
    run: str
    seeds: tuple[str, ...] = ()
    settings: Settings = field(default_factory=dict, hash=False, compare=False)

    @property
    def factors(self) -> Factors:
        """What was chosen."""
        return factors(self.settings)

    @property
    def is_baseline(self) -> bool:
        """Whether it needs no student."""
        return is_baseline(self.settings)

    @property
    def first_run(self) -> str:
        """The run of its first seed."""
        return self.seeds[0] if self.seeds else self.run

    @property
    def is_timed(self) -> bool:
        """Whether its seconds were measured on an idle machine, in one pass with the others so marked."""
        return tags_of(self.settings).get("timing") == "idle"


@dataclass
class Results:
    """What the records say of one domain; `named` are the baseline and the student that the reader chose."""

    domain: str
    metrics: dict[tuple[str, str], Metric] = field(default_factory=dict)
    slices: list[Metric] = field(default_factory=list)
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    named: tuple[str, str] = ("", "")
    paired: dict[tuple[str, str, tuple[str, str]], Comparison] = field(default_factory=dict)
    """The comparisons by protocol, family and runs."""

    @cached_property
    def recipes(self) -> list[Recipe]:
        """In the order of the records; a single seed stands for nothing where all seeds have a record together."""
        first = {run: metric for (run, _), metric in reversed(self.metrics.items())}
        merged = {seed for metric in first.values() for seed in metric.seeds}
        kept = [first[run] for run in dict.fromkeys(run for run, _ in self.metrics) if run not in merged]
        names = labels(structs.replace(metric, seeds=[]) for metric in kept)
        return [Recipe(names[m.run], m.run, tuple(m.seeds), m.settings) for m in kept]

    def value(self, recipe: Recipe, metric: str, protocol: str = "strict") -> float | None:
        """A score, the mean over seeds; None where it is undefined or not there."""
        found = self.metrics.get((recipe.run, protocol))
        return found.values.get(metric) if found else None

    def spread(self, recipe: Recipe, metric: str = PRIMARY) -> float | None:
        """The standard deviation over seeds."""
        found = self.metrics.get((recipe.run, "strict"))
        return found.spread.get(metric) if found else None

    def calibration(self, recipe: Recipe) -> Calibration | None:
        """How far its probabilities can be believed, by one seed; None where it gives none."""
        return next((c for run, c in self.calibrations.items() if run in (recipe.run, *recipe.seeds)), None)

    def interval(
        self, recipe: Recipe, metric: str = PRIMARY, protocol: str = "strict"
    ) -> tuple[float, float] | None:
        """Its 95 % interval."""
        found = self.metrics.get((recipe.run, protocol))
        return found.intervals.get(metric) if found else None

    def contrasts(self, name: str, pairs: Sequence[tuple[Recipe, Recipe]]) -> dict[tuple[Recipe, Recipe], Contrast]:
        """The family of these comparisons in matched F1, under the strict protocol."""
        strict = [one for one in self.paired.values() if one.protocol == "strict"]
        found = family(name, [(a.run, b.run) for a, b in pairs], strict, PRIMARY)
        return {(a, b): found[a.run, b.run] for a, b in pairs if (a.run, b.run) in found}

    def reference(self, name: str, among: Iterable[Recipe]) -> Recipe | None:
        """What the records of a stated family compare these with."""
        by_run = {one.run: one for one in among}
        stated = references(name, self.paired.values())
        found = Counter(stated[run] for run in by_run if stated.get(run) in by_run)
        return by_run[found.most_common(1)[0][0]] if found else None

    @cached_property
    def duplicates(self) -> dict[Recipe, Recipe]:
        """Recipes whose predictions are those of an earlier one: every score and interval is the same."""
        found: dict[Recipe, Recipe] = {}
        seen: dict[str, Recipe] = {}
        for one in self.recipes:
            scores = [[self.value(one, key), self.interval(one, key)] for key in titles("quality")]
            first = seen.setdefault(str(scores), one)
            if first is not one and any(value is not None for value, _ in scores):
                found[one] = first
        return found

    @cached_property
    def baseline(self) -> Recipe | None:
        """The one that the reader named or the records compare with, or else that with the highest matched F1."""
        baselines = [one for one in self.recipes if one.is_baseline]
        stated = None if self.named[0] else self.reference(BASELINE, self.recipes)
        return stated if stated and stated.is_baseline else self._chosen(baselines, self.named[0])

    @cached_property
    def student(self) -> Recipe | None:
        """The student that the reader or the grid chose, or else the one with the highest matched F1."""
        students = [one for one in self.recipes if not one.is_baseline]
        chosen = [one for one in students if self.is_chosen(one)]
        return self._chosen(chosen or students, self.named[1])

    def is_chosen(self, one: Recipe) -> bool:
        """Whether it was chosen elsewhere than on these sessions."""
        return (
            any(one.run == c.reference and c.family == BASELINE for c in self.paired.values())
            or one.name in self.named
            or CHOSEN in one.name
            or tags_of(one.settings).get("chosen") == "validation"
        )

    def _chosen(self, among: Sequence[Recipe], name: str) -> Recipe | None:
        if name in [one.name for one in among]:
            return next(one for one in among if one.name == name)
        known = [one for one in among if self.value(one, PRIMARY) is not None]
        return max(known, key=lambda one: self.value(one, PRIMARY) or 0.0, default=None)

    @cached_property
    def against_baseline(self) -> dict[Recipe, Contrast]:
        """Each student against the best baseline: one family, which duplicates are not part of."""
        if self.baseline is None:
            return {}
        students = [one for one in self.recipes if not one.is_baseline and one not in self.duplicates]
        found = self.contrasts(BASELINE, [(one, self.baseline) for one in students])
        own = {one: contrast for (one, _), contrast in found.items()}
        return {**own, **{copy: own[first] for copy, first in self.duplicates.items() if first in own}}

    @cached_property
    def baselines_against_best(self) -> dict[Recipe, Contrast]:
        """Every other baseline against the best one: a family of its own."""
        best = self.baseline
        others = [one for one in self.recipes if one.is_baseline and one != best and one not in self.duplicates]
        found = self.contrasts(BASELINES, [(one, best) for one in others]) if best else {}
        return {one: contrast for (one, _), contrast in found.items()}

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """How many sessions and true bundles were scored."""
        found = [m for (_, protocol), m in self.metrics.items() if protocol == "strict"]
        found = found or [*self.metrics.values()]
        return max(m.sessions for m in found), max(m.counts.get("true", 0) for m in found)


def collect(lines: Iterable[Line], baseline: str = "", student: str = "") -> list[Results]:
    """The results by domain, from lines decoded as `metric`, `comparison` and `calibration`.

    The same record twice is taken once. KdbError where two disagree or there is no metric; UsageError where
    no run has the name of the baseline or the student that is asked for.
    """
    found: dict[str, Results] = {}
    for line in lines:
        record = line.record
        if isinstance(record, Metric | Comparison | Calibration):
            results = found.setdefault(record.domain, Results(record.domain, named=(baseline, student)))
            if isinstance(record, Metric):
                _add_metric(results, record, line)
            elif isinstance(record, Comparison):
                _add_comparison(results, record, line)
            else:
                results.calibrations[record.run] = record
    kept = [results for results in found.values() if results.metrics]
    if not kept:
        raise KdbError("no metric in the input", "kdb eval ... > metrics.jsonl; kdb report metrics.jsonl -o DIR")
    for name, wanted in ((baseline, True), (student, False)):
        known = [one.name for results in kept for one in results.recipes if one.is_baseline == wanted]
        if name and name not in known:
            raise UsageError(f"no run is called {name!r}", f"there are {', '.join(dict.fromkeys(known)) or 'none'}")
    return kept


def _add_metric(results: Results, metric: Metric, line: Line) -> None:
    if metric.slice:
        results.slices += [] if metric in results.slices else [metric]
    elif results.metrics.setdefault((metric.run, metric.protocol), metric) != metric:
        raise line.error(
            f"run {metric.run!r} on {metric.domain!r} is scored twice, differently", "give the metrics of one eval"
        )


def _add_comparison(results: Results, comparison: Comparison, line: Line) -> None:
    key = (comparison.protocol, comparison.family, comparison.runs)
    if results.paired.setdefault(key, comparison).differences != comparison.differences:
        raise line.error(f"runs {' and '.join(comparison.runs)} are compared twice, differently")
