"""Draws knowledge from the sessions of a stream, whatever its format, and writes it behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from kdb import console
from kdb.extraction.format import Format, test_split_error
from kdb.io.provenance import content_hash, versions
from kdb.io.stream import Line
from kdb.records import Record, Run, Session, Usage
from kdb.teacher import RequestFailed, Teacher, Unanswered, sum_usage, without_usage
from kdb.teacher.cached import finish
from kdb.teacher.ordered_map import ordered_map

KINDS = ("session",)


@dataclass(frozen=True)
class SessionFilter:
    """Which sessions knowledge is drawn from: annotated training sessions, and so many of them."""

    sessions: Annotated[int | None, Meta(ge=1, description="Use the first so many training sessions only.")] = None
    allow_test: Annotated[bool, Meta(description="Draw from sessions of the test split too.")] = False


def extract(
    lines: Iterable[Line], form: Format[Any], choice: SessionFilter, teacher: Teacher, threads: int
) -> Iterator[Line | Record]:
    """All lines in order, after each session what was drawn from it, and in the end what all of them gave.

    A run record at the end holds what was measured, and what was paid for and is in no piece of knowledge. KdbError
    for a test session that is not allowed, and in the end where sessions have no answer.
    """
    asked = unanswered = 0
    recorded: list[Usage] = []

    def job(line: Line) -> Callable[[], Any] | None:
        nonlocal asked
        session = line.record
        full = choice.sessions is not None and asked >= choice.sessions
        if not isinstance(session, Session) or not _accepted(line, session, form, choice) or full:
            return None
        asked += 1
        return lambda: _attempt(form, session, teacher)

    with console.progress() as bar:
        task = bar.add_task("sessions", total=choice.sessions, note="")
        # So many may be done and not yet written, for a slow session must not hold up the others.
        for line, drawn in ordered_map(form.prepare(lines), job, threads, window=8 * threads):
            yield line
            if drawn is _NOTHING:
                unanswered += 1
            elif drawn is not None and isinstance(line.record, Session):
                for knowledge in form.collect(line.record, drawn):
                    recorded.append(knowledge.usage)
                    yield knowledge
                bar.update(task, advance=1, note=", ".join(teacher.summary()))
    for knowledge in form.conclude(teacher):
        recorded.append(knowledge.usage)
        yield knowledge
    yield from _run(form, teacher, recorded)
    finish(teacher, unanswered, asked)


_NOTHING = object()
"""What comes of a session that has no answer."""


def _accepted(line: Line, session: Session, form: Format[Any], choice: SessionFilter) -> bool:
    if session.split == "test" and not (choice.allow_test and form.may_see_test):
        raise test_split_error(line, session, form.may_see_test)
    return session.split != "validation" and (bool(session.truth) or not form.needs_annotations)


def _attempt(form: Format[Any], session: Session, teacher: Teacher) -> Any:
    try:
        return form.draw(session, teacher)
    except Unanswered as error:
        if isinstance(error, RequestFailed):
            console.say(f"session {session.id!r} has no answer: {error}")
        return _NOTHING


def _run(form: Format[Any], teacher: Teacher, recorded: list[Usage]) -> Iterator[Run]:
    """What was measured, and paid for without a gain: dropped thoughts, rules nobody wrote, failed requests."""
    rest = without_usage(teacher.usage, sum_usage(recorded))
    if rest != Usage() or form.measured:
        command, settings, measured = f"extract {form.name}", {"teacher": teacher.identity.model}, form.measured
        name = content_hash([command, settings, rest, teacher.usage, measured])
        yield Run(id=name, command=command, settings=settings, versions=versions(), measured=measured, usage=rest)
