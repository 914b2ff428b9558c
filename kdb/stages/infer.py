"""Predict bundles for the sessions of a record stream, by a student or by a baseline."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from kdb import console
from kdb.errors import KdbError
from kdb.predictors.student import Predictor
from kdb.records import Prediction, Record, Session
from kdb.stream import Line
from kdb.student.methods.method import Decision

WINDOW = 64
"""So many sessions are answered together, grouped by length, and then come out in the order of the input."""


def run(lines: Iterable[Line], predictor: Predictor, resumed: bool = False) -> Iterator[Line | Record]:
    """The `run` record, then one line for each line read, in order: a prediction for a session.

    Other kinds pass through. KdbError where a session stands twice or there is none.
    """
    window: list[Line] = []
    first = iter([predictor.run])  # comes once, and only where there is something to predict
    seen: set[tuple[str, str]] = set()
    waiting = 0
    for line in console.track(lines, "sessions"):
        window.append(line)
        if isinstance(line.record, Session):
            key = _key(line.record)
            if key in seen:
                raise line.error(f"session {line.record.id!r} of {line.record.domain!r} stands twice")
            seen.add(key)
            waiting += 1
        if waiting == WINDOW:
            yield from first
            yield from _predicted(window, predictor)
            window, waiting = [], 0
    if not seen and not resumed:
        raise KdbError("no session in the input", "kdb import DATA | kdb infer")
    yield from first
    yield from _predicted(window, predictor)
    predictor.finish()


def rest(lines: Iterable[Line], predictor: Predictor, done: Sequence[Line]) -> Iterator[Line | Record]:
    """What `run` has still to give after `done`, the lines that a stopped run gave for the same input.

    The window in which that run stopped is predicted again as a whole, for how sessions are batched shows in the
    last bits of a student's numbers. KdbError where `done` was made with other settings, or for other sessions.
    """
    if done and done[0].record is not None and getattr(done[0].record, "id", "") != predictor.run.id:
        raise done[0].error("made with other options, data or versions of the prompts", "repeat them exactly")
    incoming = iter(lines)
    window: list[Line] = []
    waiting = 0
    for before in done[1:]:
        line = next(incoming, None)
        if line is None:
            raise before.error("goes beyond the input", "give the input of the stopped run")
        session, prediction = line.record, before.record
        if isinstance(session, Session) and _key(session) != _key(prediction):
            raise before.error(f"does not follow the input: {line.place}", "give the input of the stopped run")
        window.append(line)
        waiting += isinstance(session, Session)
        if waiting == WINDOW:
            window, waiting = [], 0
    console.say(f"{max(len(done) - 1, 0)} lines are there already")
    outgoing = run(chain(window, incoming), predictor, resumed=len(done) > 1)
    yield from islice(outgoing, 1 + len(window) if done else 0, None)  # the run record is there too


def _key(record: Record | None) -> tuple[str, str]:
    """What identifies a session and its prediction."""
    return record.key if isinstance(record, Session | Prediction) else ("", "")


def _predicted(window: Sequence[Line], predictor: Predictor) -> Iterator[Line | Record]:
    sessions = [line.record for line in window if isinstance(line.record, Session)]
    began = time.monotonic()
    decisions = predictor.predict(sessions) if sessions else []
    seconds = (time.monotonic() - began) / max(len(sessions), 1)
    predictions = iter(
        _prediction(session, decision, predictor.run.id, seconds)
        for session, decision in zip(sessions, decisions, strict=True)
    )
    for line in window:
        yield next(predictions) if isinstance(line.record, Session) else line


def _prediction(session: Session, decision: Decision, run: str, seconds: float) -> Prediction:
    return Prediction(
        id=session.id,
        domain=session.domain,
        items=[item.id for item in session.items],
        bundles=decision.bundles,
        status=decision.status,
        run=run,
        raw=decision.raw,
        truth=session.truth,
        user=session.user,
        time=session.time,
        imported=session.imported,
        demos=[demo.session.id for demo in decision.shown.demos],
        knowledge=[piece.id for piece in decision.shown.pieces],
        context_dropped=decision.left_out,
        usage=decision.usage,
        seconds=round(seconds, 6),
    )
