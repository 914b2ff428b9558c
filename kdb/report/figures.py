"""Which figures a domain has, and what is drawn in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from kdb.evaluation.contrasts import Contrast
from kdb.records import SHOWN_AS, Calibration
from kdb.report import charts
from kdb.report.charts import Curve, Point
from kdb.report.drawing import Drawing, drawing
from kdb.report.forest import Row, forest
from kdb.report.questions import Group, Question, describe, questions, share
from kdb.report.results import PRIMARY, Recipe, Results

MOST_ROWS = 25
"""So many rows of the first figure, with headings, are read at a glance; the table of all runs has the others."""
MOST_POINTS = 8
CALIBRATION = {"expected_calibration_error": "expected calibration error", "brier": "Brier score"}
EFFECTS = {
    "format": "Differences to no knowledge on equal data",
    "utilization": "Differences between utilizations on equal data",
}
_BESIDE = [name for name, shown in SHOWN_AS.items() if shown in ("context", "demonstration")]
FILLED = "Filled marks: significant after Holm's correction; arrows: beyond the axis."


def overview(results: Results) -> Drawing | None:
    """Figure 1: every kind of run against the best baseline, by question."""
    best = results.baseline
    contrasts = {**results.baselines_against_best, **results.against_baseline}
    if best is None or not contrasts:
        return None
    rows = _block("Without a student", [(one.name, one) for one in results.baselines_against_best], contrasts)
    shown = set(results.baselines_against_best)
    student = results.student and results.duplicates.get(results.student, results.student)
    for heading, members in _blocks(results):
        new = [(name, one) for name, one in members if one not in shown]
        block = _block(heading, new, contrasts)
        if len(rows) + len(block) <= MOST_ROWS:
            rows += block
            shown |= {one for _, one in new}
    if student and student not in shown:
        rows = [*_block("The student", [(student.name, student)], contrasts), *rows]
    caption = (
        f"Matched F1 minus that of the baseline {best.name} ({results.value(best, PRIMARY):.3f}), with 95 % "
        f"intervals, on the same {results.sizes[0]:,} sessions. {FILLED} Squares: no student."
    )
    title = "Differences to the baseline"
    return drawing("1-differences", title, caption, partial(forest, rows, "difference in matched F1"))


def _blocks(results: Results) -> list[tuple[str, list[tuple[str, Recipe]]]]:
    """What the first figure shows of students, the most telling first: one group a question, then the others."""
    found = {question.factor: question for question in questions(results)}
    order = ["utilization", *(factor for factor in found if factor != "utilization")]
    ranked = [(n, factor, group) for factor in order for n, group in enumerate(found[factor].students)]
    blocks = []
    for _, factor, group in sorted(ranked, key=lambda one: one[0]):
        setting = describe(group.shared, [other.shared for other in found[factor].groups])
        members = [(short(factor, level), one) for level, one in group.levels.items()]
        title = found[factor].title
        blocks.append((f"{title}: {setting}" if setting else title, members))
    inside = {one for _, members in blocks for _, one in members}
    others = [one for one in results.against_baseline if one not in inside and one not in results.duplicates]
    return [*blocks, ("Other students" if blocks else "Students", [(one.name, one) for one in others])]


def _block(heading: str, members: Sequence[tuple[str, Recipe]], contrasts: Mapping[Recipe, Contrast]) -> list[Row]:
    rows = [Row(name, contrasts[one], one.is_baseline) for name, one in members if one in contrasts]
    return [Row(heading), *rows] if rows else []


def short(factor: str, level: str) -> str:
    """A level as figures name it."""
    return "all formats" if factor == "format" and level.count("+") >= len(_BESIDE) - 1 else level


def of_effects(question: Question, number: int) -> Drawing | None:
    """Figures 2, 4 and from 7 on: each level of a factor against its reference, on equal data."""
    name = f"{number}-{question.factor}"
    title = EFFECTS.get(question.factor, f"Differences by {question.factor}")
    among = [group.shared for group in question.groups]
    rows: list[Row] = []
    for group in question.students:
        where = describe(group.shared, among)
        rows.append(Row(f"{where or 'All else the same'}, minus {group.reference}"))
        for level in group.levels:
            if contrast := question.contrast(group, level):
                rows.append(Row(short(question.factor, level), contrast))
    if not any(row.contrast for row in rows):
        return None
    caption = f"{title}, in matched F1 with 95 % intervals. {FILLED}"
    return drawing(name, title, caption, partial(forest, rows, "difference in matched F1"))


def of_quantity(results: Results, question: Question) -> Drawing | None:
    """Figure 3: matched F1 by the share of the labelled sessions, the baselines beside the student."""
    groups = [group for group in question.groups if len(group.levels) > 1]
    students = [group for group in groups if not group.is_baseline]
    if not students:
        return None
    series = [_curve(results, group, groups) for group in groups[: len(charts.SERIES)]]
    best = results.baseline
    if best and not any(best in group.levels.values() for group in groups):
        value = results.value(best, PRIMARY)
        end = max(share(level) for group in students for level in group.levels)
        if value is not None:
            series.append(Curve(f"{best.name}, all data", [(end, value, results.interval(best))], True))
    title = "Matched F1 by the share of the data"
    caption = f"{title}, with 95 % intervals. The axis does not begin at 0."
    names = ("share of the labelled sessions, %", "matched F1")
    return drawing("3-quantity", title, caption, partial(charts.curves, series, names))


def _curve(results: Results, group: Group, among: Sequence[Group]) -> Curve:
    points: list[tuple[float, float, Sequence[float] | None]] = [
        (share(level), value, results.interval(one))
        for level, one in group.levels.items()
        if (value := results.value(one, PRIMARY)) is not None
    ]
    name = group.baseline or describe(group.shared, [other.shared for other in among])
    return Curve(name, points, group.is_baseline)


def of_cost(results: Results, shown: Sequence[Recipe]) -> list[Drawing]:
    """Figure 5: matched F1 against seconds and against money, for what was measured."""
    made = []
    for name, key, axis in (
        ("5-seconds", "seconds", "seconds for 1,000 sessions"),
        ("5-money", "dollars", "US dollars for 1,000 sessions"),
    ):
        points = [
            Point(one.name, 1000 * cost, value, results.interval(one), one.is_baseline)
            for one in shown
            if (one.is_timed or key != "seconds")
            and (cost := results.value(one, key))
            and (value := results.value(one, PRIMARY)) is not None
        ][:MOST_POINTS]
        if len(points) > 1:
            title = f"Matched F1 against {axis.partition(' ')[0] if key == 'seconds' else 'money'}"
            caption = f"Matched F1 with 95 % intervals against {axis}, on a logarithmic axis."
            made.append(drawing(name, title, caption, partial(charts.scatter, points, (axis, "matched F1"))))
    return made


def of_calibration(results: Results) -> list[Drawing]:
    """Figures 6 and 7: how often bundles are hits that have a probability, and the precision of the most probable.

    For the student and the baseline, as far as they give probabilities; the first of them for reliability.
    """
    shown = [one for one in (results.student, results.baseline) if one]
    probable = [(one, found) for one in shown if (found := results.calibration(one))]
    return [_reliability(results, *probable[0]), *_precision_kept(probable)] if probable else []


def _reliability(results: Results, one: Recipe, calibration: Calibration) -> Drawing:
    told = [
        f"{text} {value:.3f}" for key, text in CALIBRATION.items() if (value := results.value(one, key)) is not None
    ]
    title = "Reliability of the probabilities"
    scores = f" ({', '.join(told)})" if told else ""
    caption = f"{title} that {one.name} gives to {calibration.bundles:,} bundles{scores}. Each mark is a bin."
    points = [(bin.probability, bin.precision) for bin in calibration.bins]
    return drawing("6-calibration", title, caption, partial(charts.reliability, points))


def _precision_kept(shown: Sequence[tuple[Recipe, Calibration]]) -> list[Drawing]:
    series = [
        Curve(one.name, [(100 * kept.share, kept.precision, None) for kept in found.kept], one.is_baseline)
        for one, found in shown
        if len(found.kept) > 1
    ]
    title = "Precision of the most probable bundles"
    caption = f"{title}: the share of hits among those kept. The axis does not begin at 0."
    names = ("share of the bundles kept, %", "precision")
    return [drawing("7-precision", title, caption, partial(charts.curves, series, names))] if series else []
