"""The tables of one domain, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kdb.evaluation import titles
from kdb.evaluation.contrasts import Contrast
from kdb.evaluation.number_format import NOTHING, number, p_value, signed, signed_span, span
from kdb.report.factors import sessions_drawn_on
from kdb.report.questions import Question, describe, questions
from kdb.report.results import PRIMARY, Recipe, Results


@dataclass(frozen=True)
class TableCell:
    """A value; `detail` is its interval."""

    text: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.detail}".strip()


@dataclass(frozen=True)
class Table:
    """The first `names` columns are text, the others numbers."""

    name: str
    title: str
    head: list[str]
    rows: list[list[TableCell]]
    notes: list[str] = field(default_factory=list)
    names: int = 1


def row(*cells: str | TableCell) -> list[TableCell]:
    """Texts and cells as a row."""
    return [TableCell(cell) if isinstance(cell, str) else cell for cell in cells]


QUALITY, COST = titles("quality"), titles("cost")
RELEASED = titles("quality", protocol="released")
ANSWERS, TEACHER = titles("answers", "intents", "calibration"), titles("teacher")
SHARES_KEPT = (0.1, 0.25, 0.5, 0.75, 1.0)
INTERVALS = "In brackets 95 % bootstrap intervals over sessions."
STRICT = (
    "Strict protocol: a predicted bundle hits if it lies within a true one, and sessions without a valid "
    "prediction score 0."
)
AS_RELEASED = (
    "As the code released with AICL scores: recall counts predictions, so that it can pass 1, and sessions "
    "without a parsed prediction leave the mean."
)


def tables(results: Results, absent: Sequence[str] = ()) -> dict[str, Table]:
    """All tables that the records allow; `absent` names runs that belong there and have no result."""
    made = [
        summary(results),
        runs(results, absent),
        *(of_question(results, question) for question in questions(results)),
        seeds(results),
        _columns(results, "released", "The AICL protocol", RELEASED, AS_RELEASED, "released"),
        _columns(results, "answers", "What is wrong with the answers", ANSWERS),
        _columns(results, "cost", "Cost of a session", COST),
        probabilities(results),
        slices(results),
    ]
    return {table.name: table for table in made if table}


def summary(results: Results) -> Table | None:
    """The baselines and the ways to use a student, beside the best baseline."""
    use = next((q for q in questions(results) if q.factor == "utilization"), None)
    own = [one for group in use.students[:1] for one in group.levels.values()] if use else []
    student = results.student
    if student and student not in own and results.duplicates.get(student) not in own:
        own.append(student)
    shown = [one for one in results.recipes if one.is_baseline and one not in results.duplicates] + own
    shown.sort(key=lambda one: results.value(one, PRIMARY) or 0.0, reverse=True)
    title = "Baselines and students"
    return _against_baseline(results, "summary", title, shown, ("precision", "recall")) if shown else None


def runs(results: Results, absent: Sequence[str] = ()) -> Table:
    """Every recipe under the strict protocol, in the order of the records."""
    more = [key for key in QUALITY if key != PRIMARY]
    table = _against_baseline(results, "runs", "All runs", results.recipes, more)
    known = {one.name for one in results.recipes} | {str(m.settings.get("name")) for m in results.metrics.values()}
    missing = [row(name, *["not run"] * (len(table.head) - 1)) for name in absent if name not in known]
    notes = [f"{copy.name} has the predictions of {first.name}." for copy, first in results.duplicates.items()]
    return Table(table.name, table.title, table.head, [*table.rows, *missing], [*table.notes, *notes])


def _against_baseline(
    results: Results, name: str, title: str, recipes: Sequence[Recipe], more: Sequence[str]
) -> Table:
    best = results.baseline
    contrasts = {**results.baselines_against_best, **results.against_baseline}
    head = ["run", QUALITY[PRIMARY], *(["− baseline", "p"] if contrasts else []), *(QUALITY[key] for key in more)]
    rows = []
    for one in recipes:
        compared = row("baseline", "") if one == best else difference_cells(contrasts.get(one))
        scores = [_score(results, one, key) for key in (PRIMARY, *more)]
        rows.append(row(one.name, scores[0], *(compared if contrasts else []), *scores[1:]))
    notes = [STRICT, INTERVALS]
    if contrasts and best:
        students = sum(one not in results.duplicates for one in results.against_baseline)
        tested = sum(one.p is not None for one in results.baselines_against_best.values())
        apart = f" and, by themselves, over {tested} baselines" if tested else ""
        notes.append(
            f"p: paired permutation tests against {best.name}, corrected by Holm over {students} students{apart}."
        )
    return Table(name, title, head, rows, notes)


def difference_cells(contrast: Contrast | None) -> list[TableCell]:
    """A difference with its interval, and its corrected p."""
    if contrast is None:
        return row("not compared", "")
    p = p_value(contrast.p, contrast.at_floor).removeprefix("p ").removeprefix("= ")
    return row(TableCell(signed(contrast.difference), signed_span(contrast.interval)), p)


def _score(results: Results, one: Recipe, key: str, protocol: str = "strict") -> TableCell:
    value = results.value(one, key, protocol)
    return TableCell(number(value), span(results.interval(one, key, protocol)) if value is not None else "")


def of_question(results: Results, question: Question) -> Table | None:
    """The levels of one factor against their reference; None where no two runs differ in it alone."""
    groups = question.groups
    if not groups:
        return None
    among = [group.shared for group in groups]
    rows = []
    for group in groups:
        where = group.baseline or describe(group.shared, among) or "all else the same"
        for level, one in group.levels.items():
            is_reference = level == group.reference
            compared = row("reference", "") if is_reference else difference_cells(question.contrast(group, level))
            drawn = sessions_drawn_on(one.settings)
            learnt = NOTHING if drawn is None else f"{drawn:,}"
            rows.append(row(where, level, learnt, _score(results, one, PRIMARY), *compared))
    notes = [
        f"Only {question.factor} differs inside a group. p: corrected by Holm over the "
        f"{len(question.contrasts)} comparisons of this table.",
        INTERVALS,
    ]
    head = ["setting", question.factor, "sessions learnt from", QUALITY[PRIMARY], "− reference", "p"]
    return Table(question.factor, question.title, head, rows, notes, names=2)


def seeds(results: Results) -> Table | None:
    """Recipes that were run with several seeds: mean and standard deviation."""
    several = [one for one in results.recipes if one.seeds]
    if not several:
        return None
    rows = []
    for one in several:
        spreads = {key: f"± {number(results.spread(one, key))}" for key in QUALITY}
        cells = (TableCell(number(results.value(one, key)), spread) for key, spread in spreads.items())
        rows.append(row(one.name, str(len(one.seeds)), *cells))
    note = "Mean ± standard deviation over seeds; tests are paired over sessions within each seed."
    return Table("seeds", "Seeds", ["run", "seeds", *QUALITY.values()], rows, [note])


def _columns(
    results: Results, name: str, title: str, keys: Mapping[str, str], note: str = "", protocol: str = "strict"
) -> Table | None:
    """All recipes with those columns in which any has more than 0."""
    values = {
        key: [v for one in results.recipes if (v := results.value(one, key, protocol)) is not None] for key in keys
    }
    zero = [keys[key] for key, its in values.items() if its and not any(its)]
    timed = all(one.is_timed for one in results.recipes)
    shown = [key for key in keys if any(values[key]) and (key != "seconds" or timed)]
    notes = [note] if note else []
    if zero:
        notes.append(f"0 in all runs: {', '.join(zero)}.")
    if "seconds" in keys and not timed:
        notes.append("Seconds are left out: not measured on an idle machine in one pass.")
    if not shown:
        return None
    cell: Callable[[Recipe, str], TableCell] = (
        (lambda one, key: TableCell(number(results.value(one, key, protocol))))
        if name == "cost"
        else (lambda one, key: _score(results, one, key, protocol))
    )
    rows = [row(one.name, *(cell(one, key) for key in shown)) for one in results.recipes]
    return Table(name, title, ["run", *(keys[key] for key in shown)], rows, notes)


def probabilities(results: Results) -> Table | None:
    """What `kdb infer --min-probability` leaves, and how precise that is; None without probabilities."""
    rows = []
    for one in results.recipes:
        found = results.calibration(one)
        curve = found.kept if found else []
        nearest = [min(curve, key=lambda kept: abs(kept.share - share)) for share in SHARES_KEPT if curve]
        points = [(kept.probability, kept.share, kept.precision) for kept in nearest]
        rows += [row(one.name, *map(number, point)) for point in dict.fromkeys(points)]
    head = ["run", "--min-probability", "bundles kept", "precision of these"]
    note = "The most probable bundles of all sessions together; precision is the share of them that are hits."
    return Table("probabilities", "The most probable bundles", head, rows, [note]) if rows else None


def slices(results: Results) -> Table | None:
    """The scores on slices of the sessions; None where none were asked for."""
    strict = [metric for metric in results.slices if metric.protocol == "strict"]
    names = {one.run: one.name for one in results.recipes}
    rows = []
    for m in strict:
        where = ", ".join(f"{name} {value}" for name, value in m.slice.items())
        scores = (TableCell(number(m.values.get(key)), span(m.intervals.get(key))) for key in QUALITY)
        rows.append(row(names.get(m.run, m.run[:8]), where, f"{m.sessions:,}", *scores))
    head = ["run", "sessions with", "sessions", *QUALITY.values()]
    return Table("slices", "Slices of the sessions", head, rows, [INTERVALS], names=2) if rows else None
