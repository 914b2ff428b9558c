"""The best, a median and the worst session, with what a student and the best baseline made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kdb.evaluation.matched_session import MatchedSession, bundle_text, intents
from kdb.evaluation.metrics.matching import matched_f1
from kdb.io.stream import Line
from kdb.records import Prediction, Session
from kdb.report.results import Recipe, Results

KINDS = ("prediction", "session")


@dataclass(frozen=True)
class ExampleAnswer:
    """What one run made of the session."""

    name: str
    matched_f1: float
    matches: list[tuple[str, str, float, str]]
    """True bundle, predicted bundle (item numbers and intent), Jaccard, verdict."""


@dataclass(frozen=True)
class SessionExample:
    """A session as it is read: numbered items, then the answers."""

    title: str
    id: str
    items: list[str]
    answers: list[ExampleAnswer]


def candidates(lines: Iterable[Line], results: Results) -> list[Line]:
    """Of all lines those that the examples of a domain show: three sessions, and two runs' predictions of them."""
    shown = [one for one in (results.student, results.baseline) if one]
    wanted = {one.first_run for one in shown}
    predictions: dict[str, dict[str, Line]] = {run: {} for run in wanted}
    sessions: dict[str, Line] = {}
    for line in lines:
        record = line.record
        if isinstance(record, Prediction) and record.run in wanted and record.domain == results.domain:
            if record.truth is not None:
                predictions[record.run][record.id] = line
        elif isinstance(record, Session) and record.domain == results.domain:
            sessions[record.id] = line
    if not shown or not predictions[shown[0].first_run]:
        return []
    own = predictions[shown[0].first_run]
    picked = _three({key: _matched_f1(_prediction(line)) for key, line in own.items()})
    kept = [sessions[key] for key in picked if key in sessions]
    return kept + [its[key] for its in predictions.values() for key in picked if key in its]


def examples(lines: Sequence[Line], results: Results) -> list[SessionExample]:
    """The examples in these lines, as `candidates` has chosen them."""
    records = [line.record for line in lines]
    titles = {s.key: {item.id: item.title for item in s.items} for s in records if isinstance(s, Session)}
    shown = [one for one in (results.student, results.baseline) if one]
    if not shown:
        return []
    own = [p for p in records if isinstance(p, Prediction) and p.domain == results.domain]
    by_run = {one: {p.id: p for p in own if p.run == one.first_run} for one in shown}
    values = {key: _matched_f1(p) for key, p in by_run[shown[0]].items()}
    made = []
    for title, key in zip(("The best", "A median", "The worst"), _three(values), strict=False):
        first = by_run[shown[0]][key]
        known = titles.get((results.domain, key), {})
        answers = [_answer(one, its[key]) for one, its in by_run.items() if key in its]
        made.append(SessionExample(title, key, [known.get(item) or item for item in first.items], answers))
    return made


def _three(values: dict[str, float]) -> list[str]:
    """The sessions with the highest, the median and the lowest value; of equals, by id."""
    order = sorted(values, key=lambda key: (-values[key], key))
    if len(order) < 4:
        return order
    return [order[0], order[len(order) // 2], order[-1]]


def _answer(one: Recipe, prediction: Prediction) -> ExampleAnswer:
    numbers = {item: n for n, item in enumerate(prediction.items, 1)}
    true, said = intents(prediction.truth or []), intents(prediction.bundles)
    rows = [
        (bundle_text(m.true, true, numbers), bundle_text(m.predicted, said, numbers), m.jaccard, m.verdict)
        for m in MatchedSession.of(prediction).matches
    ]
    return ExampleAnswer(one.name, _matched_f1(prediction), rows)


def _matched_f1(prediction: Prediction) -> float:
    return matched_f1(MatchedSession.of(prediction))


def _prediction(line: Line) -> Prediction:
    assert isinstance(line.record, Prediction)
    return line.record
