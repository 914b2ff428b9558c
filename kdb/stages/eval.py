"""Scores predictions under both protocols, with intervals, and compares the runs of a stream with each other.

Predictions are scored as they come; what is kept is a row of numbers for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from msgspec import structs

from kdb import console
from kdb.errors import KdbError
from kdb.evaluation.comparison import compare
from kdb.evaluation.cost import cost, cost_shares, retention
from kdb.evaluation.score_table import COLUMNS, PROTOCOLS, ResampledSums, RunScores, ScoreTable
from kdb.evaluation.scored_runs import KINDS, ScoredRuns
from kdb.records import Comparison, Metric, Record
from kdb.stream import Line, Rejects

__all__ = ["KINDS", "SLICES", "EvalOptions", "run"]

SLICES = ("domain", "length", "status")
KEPT = ("precision", "recall", "coverage", "matched_f1")
"""The metrics whose retention is reported."""
COUNTED = ("predicted", "true", "hits", "invalid", "hallucinated", "failed", "repaired")


@dataclass(frozen=True)
class EvalOptions:
    """`by`: slices beside the whole (of `SLICES`); `intersect`: score only sessions that all runs have."""

    by: tuple[str, ...] = ()
    per_session: bool = False
    intersect: bool = False
    intents: bool = False
    seed: int = 0


def run(
    lines: Iterable[Line], options: EvalOptions, rejects: Rejects, teacher: Iterable[Line] | None = None
) -> Iterator[Record]:
    """Session scores if asked for, then for each domain the metrics of its runs and their comparisons."""
    students = ScoredRuns()
    yield from students.read(lines, rejects, options.per_session, options.intents)
    teachers = ScoredRuns(expected=students.expected)
    if teacher is not None:
        for _ in teachers.read(teacher, rejects, intents=options.intents):
            pass
        if len(teachers.scores) > 1:
            raise KdbError(f"the teacher's file holds {len(teachers.scores)} runs", "give the file of one run")
    if options.intents:
        students.add_intent_similarity()
        teachers.add_intent_similarity()
    for domain in dict.fromkeys(chain.from_iterable(students.scores.values())):
        ways = students.imported.get(domain, [])
        for record in _domain(domain, students, teachers, options):
            yield structs.replace(record, imported=ways) if isinstance(record, Metric) else record


def best(records: Iterable[Record]) -> str:
    """The name, or else the id, of the run with the highest matched F1 over domains; of equals, the first."""
    names: dict[str, str] = {}
    values: dict[str, list[float]] = {}
    for record in records:
        if isinstance(record, Metric) and record.protocol == "strict" and not record.slice:
            names[record.run] = str(record.settings.get("name") or record.run)
            values.setdefault(record.run, []).append(record.values["matched_f1"] or 0.0)
    return names[max(values, key=lambda run: sum(values[run]) / len(values[run]))]


def _domain(
    domain: str, students: ScoredRuns, teachers: ScoredRuns, options: EvalOptions
) -> Iterator[Metric | Comparison]:
    own, theirs = students.of(domain), teachers.of(domain)
    sessions = _sessions(domain, [*own.items(), *theirs.items()], options.intersect)
    runs = _aligned(students, own, sessions, options.seed)
    teacher = next(iter(_aligned(teachers, theirs, sessions, options.seed)), None)
    if teachers.scores and not teacher:
        console.warn(f"the teacher has no prediction for {domain!r}: no retention there")
    for one in runs:
        yield from _metrics(domain, one, teacher)
        for by, rows in _slices(one.table, options.by):
            part = RunScores(one.id, one.run, rows, ResampledSums.of(rows, options.seed))
            yield from _metrics(domain, part, None, by)
    yield from compare(domain, runs, options.seed)


def _sessions(domain: str, scored: Sequence[tuple[str, ScoreTable]], intersect: bool) -> list[str]:
    """The sessions of all runs, in the order of the first; KdbError where they differ, or there are none."""
    (first, scores), *others = scored
    sessions = scores.rows.keys()
    for other, its in others:
        more, less = len(sessions - its.rows.keys()), len(its.rows.keys() - sessions)
        if (more or less) and not intersect:
            raise KdbError(
                f"runs {first!r} and {other!r} differ in their sessions of {domain!r}: "
                f"{more} are only in the first, {less} only in the second",
                "--intersect scores the common ones; with the session records too, missing ones fail",
            )
    common = [session for session in sessions if all(session in its.rows for _, its in others)]
    if not common:
        raise KdbError(f"the runs have no session of {domain!r} in common")
    return common


def _aligned(
    read: ScoredRuns, scored: Mapping[str, ScoreTable], sessions: Sequence[str], seed: int
) -> list[RunScores]:
    tables = {key: scores.of(sessions) for key, scores in scored.items()}
    return [RunScores(key, read.runs.get(key), rows, ResampledSums.of(rows, seed)) for key, rows in tables.items()]


def _slices(table: np.ndarray, by: Sequence[str]) -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """The rows by each combination of the slices' values that occurs, shortest sessions first."""
    names = [name for name in by if name != "domain"]  # every record is of one domain in any case
    if not names:
        return
    length, failed, repaired = (table[:, COLUMNS.index(c)] for c in ("length", "failed", "repaired"))
    values = {"length": length, "status": 2 * failed + repaired}
    keys = np.stack([values[name] for name in names], axis=1).astype(int)
    for key in np.unique(keys, axis=0):
        shown = {
            name: ("ok", "repaired", "failed")[value] if name == "status" else str(value)
            for name, value in zip(names, key, strict=True)
        }
        yield shown, table[(keys == key).all(axis=1)]


def _metrics(
    domain: str, one: RunScores, teacher: RunScores | None, by: dict[str, str] | None = None
) -> Iterator[Metric]:
    for protocol, metrics in PROTOCOLS.items():
        values, bounds = one.whole.values(metrics), one.whole.intervals(metrics)
        if protocol == "strict":
            values |= cost(one.run, values)
        if teacher:
            kept = {name: metrics[name] for name in KEPT if name in metrics}
            shares, share_bounds = retention(one.whole, teacher.whole, kept)
            values |= shares
            bounds |= share_bounds
            if protocol == "strict":
                theirs = teacher.whole.values(metrics)
                values |= cost_shares(values, theirs | cost(teacher.run, theirs))
        yield Metric(
            run=one.id,
            domain=domain,
            protocol=protocol,
            sessions=len(one.table),
            values=values,
            intervals=bounds,
            counts=_counts(one.whole),
            settings=one.run.settings if one.run else {},
            slice=by or {},
        )


def _counts(whole: ResampledSums) -> dict[str, int]:
    counts = {name: round(whole.total(name)) for name in COUNTED}
    return {**counts, "missing": round(whole.total("sessions") - whole.total("answered"))}
