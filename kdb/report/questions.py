"""The three questions, each as a table in which one factor varies from left to right and the others stay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kdb.evaluation import titles
from kdb.report.blocks import NOT_RUN, Cell, Table, number, value_cell
from kdb.report.factors import FORMATS, UTILIZATIONS, Factors
from kdb.report.results import Results

METRICS = {key: titles("quality")[key] for key in ("precision", "recall", "coverage", "matched_f1")}
QUESTIONS = {
    "format": "Which format of knowledge?",
    "quantity": "How much of it?",
    "utilization": "Used in which way?",
}


@dataclass
class Group:
    """Runs that differ in one factor only: the run for each of its levels, and what they share."""

    shared: Factors
    runs: dict[str, str]


def groups(results: Results, factor: str) -> list[Group]:
    """The comparisons that the runs allow, each of two runs or more, in the order of the runs.

    A run to which a factor does not apply stands in the groups of every value of it: zero-shot beside any
    format, all of the data beside any strategy. Runs that nothing recorded tells apart share no group.
    """
    found = {run: chosen for run in results.runs if factor in (chosen := results.factors(run))}
    for run, chosen in list(found.items()):
        if sum(other == chosen for other in found.values()) > 1:
            found[run] = {**chosen, "run": results.labels[run]}
    fixed = {run: {k: v for k, v in chosen.items() if k != factor} for run, chosen in found.items()}
    made = []
    for shared in _widest(fixed.values()):
        inside = [run for run in found if fixed[run].items() <= shared.items()]
        inside.sort(key=lambda run: -len(fixed[run]))  # the one that shares most stands for its level
        runs: dict[str, str] = {}
        for run in inside:
            runs.setdefault(found[run][factor], run)
        if len(runs) > 1:
            made.append(Group(shared, runs))
    return made


def _asked(results: Results, factor: str) -> list[Group]:
    """The groups that answer a question; other questions than quantity, at the quantity where most was run."""
    made = groups(results, factor)
    if factor == "quantity":
        return made
    kept: list[Group] = []
    for group in sorted(made, key=_extent, reverse=True):
        if not any(_says_more(other, group) for other in kept):
            kept.append(group)
    return [group for group in made if group in kept]


def _says_more(one: Group, other: Group) -> bool:
    """Whether it has all levels of the other, whose runs share no more than its own do."""
    return _elsewhere(other).items() <= _elsewhere(one).items() and other.runs.keys() <= one.runs.keys()


def _elsewhere(group: Group) -> Factors:
    """What the runs share beside their quantity."""
    return {k: v for k, v in group.shared.items() if k not in ("strategy", "quantity")}


def _extent(group: Group) -> tuple[int, bool]:
    """How many levels of its factor were run; between equals, all of the data goes first."""
    return len(group.runs), "strategy" not in group.shared


def _widest(shared: Iterable[Factors]) -> list[Factors]:
    """The distinct ones, without those that another one contains."""
    distinct: list[Factors] = []
    for one in shared:
        if one not in distinct:
            distinct.append(one)
    return [one for one in distinct if not any(one.items() < other.items() for other in distinct)]


def table(results: Results, factor: str) -> Table | None:
    """The table of one question; None where no two runs differ in its factor alone."""
    made = _asked(results, factor)
    if not made:
        return None
    levels = sorted({level for group in made for level in group.runs}, key=_place)
    always, varying = split_shared([group.shared for group in made])
    rows = [
        [Cell(describe(group.shared, varying)), Cell(name), *_cells(results, group, levels, metric)]
        for group in made
        for metric, name in METRICS.items()
    ]
    head = [", ".join(varying) or "all else the same", "metric", *levels]
    note = f"The same in all: {described}. " if (described := describe(made[0].shared, always)) else ""
    return Table(head, rows, note + _baseline(results), names=2)


def _cells(results: Results, group: Group, levels: Sequence[str], metric: str) -> list[Cell]:
    best = results.best(list(group.runs.values()), metric)
    cells = []
    for level in levels:
        run = group.runs.get(level)
        if run is None:
            cells.append(NOT_RUN)
        else:
            value, bounds = results.value(run, metric), results.interval(run, metric)
            cells.append(value_cell(value, bounds, run == best))
    return cells


def split_shared(shared: Sequence[Factors]) -> tuple[list[str], list[str]]:
    """The factors that have one value in all groups, and those that have not."""
    names = list(dict.fromkeys(name for one in shared for name in one))
    varying = [name for name in names if len({one.get(name) for one in shared}) > 1]
    return [name for name in names if name not in varying], varying


def describe(shared: Factors, names: Iterable[str]) -> str:
    """The values of some factors, with their names where the value does not speak for itself."""
    plain = ("student", "utilization", "strategy", "quantity", "domains", "run")
    parts = (shared[name] if name in plain else f"{name} {shared[name]}" for name in names if shared.get(name))
    return ", ".join(parts)


def _baseline(results: Results) -> str:
    best = results.best_baseline
    if best is None:
        return "No baseline was run."
    values = ", ".join(f"{name} {number(results.value(best, metric))}" for metric, name in METRICS.items())
    return f"Best baseline, {results.labels[best]}: {values}."


def _place(level: str) -> tuple[float, str]:
    """Utilizations and formats in the order of their complexity, quantities by their number."""
    if level in UTILIZATIONS:
        return UTILIZATIONS.index(level), ""
    formats = level.split(" + ")
    if formats[0] in FORMATS:
        return 10.0 * len(formats) + FORMATS.index(formats[0]), level
    amount = level.split(" ")[0]
    return float(amount) if amount.replace(".", "", 1).isdigit() else 0.0, level
