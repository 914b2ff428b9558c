"""Scores predictions under both protocols, with intervals, and compares runs within their families.

Predictions are scored as they come; what is kept is a row of numbers for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from msgspec import structs

from kdb import console
from kdb.errors import KdbError
from kdb.evaluation import PROTOCOLS, definitions, same_task
from kdb.evaluation.calibration import calibration, calibration_error
from kdb.evaluation.cost import cost, cost_shares, retention
from kdb.evaluation.families import QUESTIONS, families
from kdb.evaluation.reference import Reference, ranked
from kdb.evaluation.score_stream import ScoredStream
from kdb.evaluation.score_table import Intervals, ResampledSums, RunScores, Values
from kdb.evaluation.seeds import over_seeds, spread
from kdb.evaluation.significance import compare
from kdb.io.stream import Line, Rejects
from kdb.predictors import PREDICTORS
from kdb.records import Calibration, Comparison, Metric, Record

KINDS = ("session", "prediction", "run", "end")
SLICES = ("domain", "length", "status")
KEPT = ("precision", "recall", "coverage", "matched_f1")
"""The metrics whose retention is reported."""
COUNTED = ("predicted", "true", "hits", "invalid", "hallucinated", "failed", "repaired")


@dataclass(frozen=True)
class EvalOptions:
    """`by`: slices beside the whole (of `SLICES`); `intersect`: score only sessions that all runs have.

    `reference` is the baseline that students are compared with, `questions` the tags whose levels are compared,
    each with its reference level.
    """

    by: tuple[str, ...] = ()
    per_session: bool = False
    intersect: bool = False
    intents: bool = False
    seed: int = 0
    reference: Reference = field(default_factory=Reference)
    questions: Mapping[str, str] = field(default_factory=lambda: QUESTIONS)


def evaluate(
    lines: Iterable[Line], options: EvalOptions, rejects: Rejects, teacher: Iterable[Line] | None = None
) -> Iterator[Record]:
    """Session scores if asked for, then for each domain the metrics of its runs and their comparisons."""
    students = ScoredStream()
    yield from students.read(lines, rejects, options.per_session, options.intents)
    teachers = ScoredStream(expected=students.expected)
    if teacher is not None:
        for _ in teachers.read(teacher, rejects, intents=options.intents):
            pass
        if len(teachers.tables) > 1:
            raise KdbError(f"the teacher's file holds {len(teachers.tables)} runs", "give the file of one run")
    if options.intents:
        students.add_intent_similarity()
        teachers.add_intent_similarity()
    for stream in (students, teachers):
        same_task.check_whole(stream, options.intersect)
    for domain in dict.fromkeys(chain.from_iterable(students.tables.values())):
        ways = students.imported(domain)
        for record in _domain(domain, students, teachers, options):
            yield structs.replace(record, imported=ways) if isinstance(record, Metric) else record


def best(records: Iterable[Record]) -> str:
    """The name, or else the id, of the run with the highest matched F1 over domains; of equals, the first."""
    metrics = [record for record in records if isinstance(record, Metric)]
    names = {metric.run: str(metric.settings.get("name") or metric.run) for metric in metrics}
    return names[ranked(metrics, lambda metric: metric.run)[0]]


def _domain(
    domain: str, students: ScoredStream, teachers: ScoredStream, options: EvalOptions
) -> Iterator[Metric | Comparison | Calibration]:
    own, theirs = students.of(domain), teachers.of(domain)
    tables = [*own.items(), *theirs.items()]
    sessions = same_task.common_sessions(domain, tables, options.intersect)
    same_task.check_policies(domain, (students, teachers))
    same_task.check_same_truth(domain, sessions, tables, students)
    runs = [_run_scores(students, run, domain, sessions, options.seed) for run in own]
    teacher = next((_run_scores(teachers, run, domain, sessions, options.seed) for run in theirs), None)
    if teachers.tables and not teacher:
        console.warn(f"the teacher has no prediction for {domain!r}: no retention there")
    together = over_seeds(runs)
    for one in dict.fromkeys([*runs, *together]):
        yield from _metrics(domain, one, teacher, options.seed)
        for by, rows in _slices(one, options.by):
            part = _part(one, rows, options.seed)
            yield from _metrics(domain, part, None, options.seed, by)
    for family in families(together, options.reference.among(together, domain, PREDICTORS), options.questions):
        yield from compare(domain, family, options.seed)


def _run_scores(stream: ScoredStream, run: str, domain: str, sessions: Sequence[str], seed: int) -> RunScores:
    table = stream.tables[run][domain]
    rows = table.of(sessions)
    whole = ResampledSums.of(rows, table.columns, seed)
    return RunScores(run, stream.runs.get(run), rows, whole, table.probabilities_of(sessions))


def _part(one: RunScores, rows: np.ndarray, seed: int) -> RunScores:
    """A run on some of its sessions."""
    nothing = np.zeros((0, 3))
    return RunScores(one.id, one.run, rows, ResampledSums.of(rows, one.columns, seed), nothing)


def _slices(one: RunScores, by: Sequence[str]) -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """The rows by each combination of the slices' values that occurs, shortest sessions first."""
    names = [name for name in by if name != "domain"]  # every record is of one domain in any case
    if not names or one.seeds:
        return
    columns = [count.__name__ for count in one.columns]
    length, failed, repaired = (one.table[:, columns.index(c)] for c in ("length", "failed", "repaired"))
    values = {"length": length, "status": 2 * failed + repaired}
    keys = np.stack([values[name] for name in names], axis=1).astype(int)
    for key in np.unique(keys, axis=0):
        shown = {
            name: ("ok", "repaired", "failed")[value] if name == "status" else str(value)
            for name, value in zip(names, key, strict=True)
        }
        yield shown, one.table[(keys == key).all(axis=1)]


def _metrics(
    domain: str, one: RunScores, teacher: RunScores | None, seed: int, by: dict[str, str] | None = None
) -> Iterator[Metric | Calibration]:
    for protocol in PROTOCOLS:
        metrics = definitions(protocol)
        values, bounds = one.whole.values(metrics), one.whole.intervals(metrics)
        if protocol == "strict":
            values |= cost(one.run, values)
            if len(one.probabilities):
                error, error_bounds = calibration_error(one.probabilities, len(one.table), seed)
                values, bounds = values | error, bounds | error_bounds
        if teacher:
            shares, share_bounds = _against_teacher(protocol, one, teacher, values)
            values, bounds = values | shares, bounds | share_bounds
        yield Metric(
            run=one.id,
            domain=domain,
            protocol=protocol,
            sessions=len(one.table),
            values=values,
            intervals=bounds,
            counts=_counts(one.whole),
            settings=one.settings,
            slice=by or {},
            seeds=[seed.id for seed in one.seeds],
            spread=spread(one.seeds, metrics),
        )
    if len(one.probabilities) and not by:
        yield calibration(one.id, domain, one.probabilities)


def _against_teacher(protocol: str, one: RunScores, teacher: RunScores, values: Values) -> tuple[Values, Intervals]:
    """What share of the teacher's quality a run keeps, at what share of its cost."""
    metrics = definitions(protocol)
    kept = {name: metrics[name] for name in KEPT if name in metrics}
    shares, bounds = retention(one.whole, teacher.whole, kept)
    if protocol == "strict":
        theirs = teacher.whole.values(metrics)
        shares |= cost_shares(values, theirs | cost(teacher.run, theirs))
    return shares, bounds


def _counts(whole: ResampledSums) -> dict[str, int]:
    counts = {name: round(whole.total(name)) for name in COUNTED}
    return {**counts, "missing": round(whole.total("sessions") - whole.total("answered"))}
