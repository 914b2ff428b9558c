"""The five sentences that open the report of a domain, from its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from kdb.evaluation import findings
from kdb.evaluation.findings import Effect, Score, Spent
from kdb.records import ANNOTATIONS
from kdb.report.factors import ALL, NONE, sessions_drawn_on
from kdb.report.questions import Group, Question, describe, questions
from kdb.report.results import PRIMARY, Recipe, Results

MISSING = {
    "format": "Format: no two runs differ in the format of knowledge alone.",
    "quantity": "Quantity: no two runs differ in how much data they learnt from alone.",
    "utilization": "Utilization: no two runs differ in utilization alone.",
}
COSTS = {
    "seconds": ("takes", "seconds"),
    "dollars": ("costs", "US dollars"),
    "prompt_tokens": ("reads", "tokens"),
}


def sentences(results: Results) -> list[str]:
    """Better than no student, cost, format, quantity, utilization; the teacher is named with the format."""
    by_factor = {question.factor: _effects(results, question) for question in questions(results)}
    return [
        _best(results),
        _cost(results),
        f"{by_factor['format']} {_teacher(results)}".strip(),
        by_factor["quantity"],
        by_factor["utilization"],
        *(text for factor, text in by_factor.items() if factor not in MISSING),
    ]


def score(results: Results, one: Recipe) -> Score:
    """The matched F1 of a recipe, and among how many it was chosen on these sessions."""
    rivals = [other for other in results.recipes if other.is_baseline == one.is_baseline]
    among = 0 if results.is_chosen(one) else len([r for r in rivals if r not in results.duplicates])
    return Score(
        one.name,
        results.value(one, PRIMARY) or 0.0,
        results.interval(one),
        max(1, len(one.seeds)),
        results.spread(one),
        among,
    )


def _best(results: Results) -> str:
    student, baseline = results.student, results.baseline
    sessions, bundles = results.sizes
    if student is None or baseline is None:
        (kind, one) = ("student", baseline) if student is None else ("baseline", student)
        known = f"; {findings.quoted(one.name)} reaches a matched F1 of {score(results, one).text()}" if one else ""
        return f"On {sessions:,} held-out sessions no {kind} was run{known}."
    contrast = results.against_baseline.get(student)
    rivals = [results.value(one, PRIMARY) or 0.0 for one in results.recipes if one.is_baseline]
    is_best = (results.value(baseline, PRIMARY) or 0.0) >= max(rivals)
    return findings.best_against_baseline(
        score(results, student),
        score(results, baseline),
        contrast,
        sessions,
        bundles,
        findings.BEST if is_best else "the chosen method without a student",
    )


def _cost(results: Results) -> str:
    student, baseline = results.student, results.baseline
    if student is None or baseline is None:
        return "Cost: there is no student and baseline to compare."
    is_timed = student.is_timed and baseline.is_timed
    spent = [
        Spent(verb, unit, 1000 * own, 1000 * (results.value(baseline, key) or 0.0))
        for key, (verb, unit) in COSTS.items()
        if (own := results.value(student, key)) is not None and (key != "seconds" or is_timed)
    ]
    return findings.cost(baseline.name, spent, is_timed)


def _effects(results: Results, question: Question) -> str:
    """What the group with most levels says, and in how many others a difference is shown."""
    if not question.students:
        return MISSING.get(question.factor, "")
    shown, *others = ([*_of_group(group, question)] for group in question.students)
    if not shown:
        return MISSING.get(question.factor, "")
    reference = _reference(results, question, question.students[0])
    return findings.effects(question.title, reference, shown, [*shown, *chain.from_iterable(others)])


def _of_group(group: Group, question: Question) -> Iterator[Effect]:
    setting = describe(group.shared, [other.shared for other in question.groups])
    for level in group.levels:
        if contrast := question.contrast(group, level):
            yield Effect(level, setting, contrast)


def _reference(results: Results, question: Question, group: Group) -> str:
    one = group.levels[group.reference]
    value = results.value(one, PRIMARY)
    drawn = sessions_drawn_on(one.settings) if question.factor == "quantity" else None
    name = f"all {drawn:,} sessions" if drawn and group.reference == ALL else group.reference
    name = "no knowledge" if question.factor == "format" and name == NONE else name
    return f"{name} ({value:.3f})" if value is not None else name


def teachers(results: Results) -> list[str]:
    """Who taught, as the runs recorded it."""
    return list(dict.fromkeys(_teachers(results)))


def _teachers(results: Results) -> Iterator[str]:
    for one in results.recipes:
        for source in ("trained", "kb"):
            yield from (one.settings.get(source) or {}).get("teachers") or []


def _teacher(results: Results) -> str:
    known = teachers(results)
    if not known:
        return "No teacher is recorded."
    if known == [ANNOTATIONS]:
        return "The teacher was annotations: what people labelled, not what an LLM knows."
    return f"The teacher was {' and '.join(known)}."
