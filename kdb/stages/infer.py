"""Predict bundles for the sessions of a record stream, by a student or by a baseline."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import structs

from kdb import console
from kdb.errors import KdbError
from kdb.io import provenance, stream
from kdb.io.stream import Line
from kdb.predictors import Predictor
from kdb.records import End, Record, Run, Session, SessionKey
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student import distributed

WINDOW = 64
"""So many sessions are answered together, grouped by length, and then come out in the order of the input."""
ROUND = 2.0
"""Several processes meet after each window, or where windows are short after up to about so many seconds."""


def read(lines: Iterable[Line]) -> list[Line]:
    """All lines of the input; KdbError where a session stands twice or there is none.

    The input is read to its end, because the `run` record, which comes first, names what it is about.
    """
    found: list[Line] = []
    seen: set[SessionKey] = set()
    for line in lines:
        found.append(line)
        if isinstance(line.record, Session):
            key = line.record.key
            if key in seen:
                raise line.error(f"session {line.record.id!r} of {line.record.domain!r} stands twice")
            seen.add(key)
    if not seen:
        raise KdbError("no session in the input", "kdb import DATA | kdb infer")
    return found


def run_record(
    lines: Sequence[Line] | None, predictor: Predictor, base: KnowledgeBase, seed: int, **settings: Any
) -> Run:
    """The `run` record: what predicts what, and on the ground of what; its id changes with any of that.

    Without `lines` it says nothing of the input, which is still to come. KdbError where the predictor has learnt
    from a session of the input in this run; where it did so before, the record says so.
    """
    found = {**{name: value for name, value in settings.items() if value}, **predictor.settings}
    found["kb"] = msgspec.to_builtins(base.summary)
    if predictor.fits_kb:
        found["fits_kb"] = True
    inputs = {"kb": provenance.content_hash([base.training, base.validation, base.knowledge])}
    measured = dict(predictor.measured)
    if lines is not None:
        sessions = [line.record for line in lines if isinstance(line.record, Session)]
        inputs = {"sessions": provenance.content_hash(sessions), **inputs}
        overlap = predictor.seen.overlap(sessions, refuse=predictor.fits_kb)
        measured |= {"sessions": len(sessions), **overlap}
    return Run(
        id=provenance.content_hash([found, seed, inputs]),
        command="infer",
        settings=found,
        seed=seed,
        versions=provenance.versions(),
        inputs=inputs,
        measured=measured,
        ends=True,
    )


def infer(lines: Sequence[Line], predictor: Predictor, run: Run, skip: int = 0) -> Iterator[Line | Record | bytes]:
    """The `run` record, then one line for each line read, in order: a prediction for a session; then its end.

    Other kinds pass through. `skip` leaves out so many lines, the run record among them (see `whole_windows`).
    Several processes share the windows; the main one has the whole, the predictions of windows as their lines.
    """
    if not skip:
        yield run
    left = list(_left(windows(lines), max(skip - 1, 0)))
    if distributed.world_size() == 1:
        for window in console.track(left, "windows"):
            yield from _predicted(window, predictor, run.id)
    else:
        yield from _shared(left, predictor, run.id)
    predictor.close()
    yield End(run=run.id, sessions=dict(_counts(lines)))


def _shared(left: Sequence[list[Line]], predictor: Predictor, run: str) -> Iterator[bytes]:
    """The windows answered in rounds: each process takes some in a row, then the main one is sent their lines.

    The shorter a round, the more windows the next one has: to meet takes some milliseconds.
    """
    processes, rank = distributed.world_size(), distributed.rank()
    start, size = 0, 1
    while start < len(left):
        began = time.monotonic()
        own = left[start + rank * size : start + (rank + 1) * size]
        answered = [stream.encoded(line) for window in own for line in _predicted(window, predictor, run)]
        yield from filter(None, distributed.gather(b"\n".join(answered)))
        start += processes * size
        size = distributed.broadcast(2 * size if time.monotonic() - began < ROUND / 2 else size)


def infer_as_read(lines: Iterable[Line], predictor: Predictor, run: Run, window: int) -> Iterator[Line | Record]:
    """What `infer` gives, each `window` sessions answered before more are read: memory does not grow with them.

    So a session may stand twice, and one that the predictor has learnt from is answered with a warning.
    """
    yield run
    counts: Counter[str] = Counter()
    for own in windows(lines, window):
        sessions = [line.record for line in own if isinstance(line.record, Session)]
        predictor.seen.overlap(sessions, refuse=False)
        yield from _predicted(own, predictor, run.id)
        counts += _counts(own)
    predictor.close()
    yield End(run=run.id, sessions=dict(counts))


def windows(lines: Iterable[Line], size: int = WINDOW) -> Iterator[list[Line]]:
    """The lines in stretches of `size` sessions, others alone where no session waits for more.

    How sessions are batched shows in the last digits of a student.
    """
    found: list[Line] = []
    waiting = 0
    for line in lines:
        found.append(line)
        waiting += isinstance(line.record, Session)
        if waiting in (0, size):
            yield found
            found, waiting = [], 0
    if found:
        yield found


def _left(windows: Iterable[list[Line]], done: int) -> Iterator[list[Line]]:
    """The windows after those of the first `done` lines."""
    for window in windows:
        if done >= len(window):
            done -= len(window)
        else:
            yield window


def _counts(lines: Iterable[Line]) -> Counter[str]:
    """How many sessions of each domain there are."""
    return Counter(line.record.domain for line in lines if isinstance(line.record, Session))


def whole_windows(lines: Sequence[Line], run: Run, done: Sequence[Line]) -> int:
    """How many of the lines `done` stand: `run` and those of whole windows; what follows is predicted again.

    KdbError where they are not those of this run: by other settings, or of other sessions.
    """
    if not done:
        return 0
    if getattr(done[0].record, "id", "") != run.id:
        raise done[0].error("made with other options, data or versions of the prompts", "repeat them exactly")
    done = done[:-1] if done[-1].kind == "end" else done
    if len(done) - 1 > len(lines):
        raise done[len(lines) + 1].error("goes beyond the input", "give the input of the stopped run")
    kept = 0
    for window in windows(lines):
        if kept + len(window) > len(done) - 1:
            break
        kept += len(window)
    return 1 + kept


def _predicted(window: Sequence[Line], predictor: Predictor, run: str) -> Iterator[Line | Record]:
    sessions = [line.record for line in window if isinstance(line.record, Session)]
    began = time.monotonic()
    found = predictor.predict(sessions) if sessions else []
    seconds = round((time.monotonic() - began) / max(len(sessions), 1), 6)
    predictions = iter(structs.replace(one, run=run, seconds=seconds) for one in found)
    for line in window:
        yield next(predictions) if isinstance(line.record, Session) else line
