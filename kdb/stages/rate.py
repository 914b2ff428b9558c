"""Has a teacher rate the intents of predicted bundles that match a true one, and stamps predictions with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from kdb import console
from kdb.evaluation import intent_ratings
from kdb.evaluation.matched_session import MatchedSession
from kdb.io.stream import Line
from kdb.records import Prediction, Rating, Session
from kdb.teacher import Request, RequestFailed, Sampling, Teacher, Unanswered
from kdb.teacher.cached import finish
from kdb.teacher.ordered_map import Job, ordered_map

KINDS = ("prediction",)

Sessions = Mapping[tuple[str, str], Session]
Rated = tuple[list[Rating], int]
"""The ratings of a prediction's intents, and how many more were answered in another form than asked for."""


def known(lines: Iterable[Line]) -> Sessions:
    """The sessions of some lines by domain and id."""
    return {s.key: s for line in lines if isinstance(s := line.record, Session)}


def rate(
    lines: Iterable[Line], sessions: Sessions, teacher: Teacher, sampling: Sampling, threads: int
) -> Iterator[Line]:
    """All lines in order, predictions with `ratings`; one that has no answer passes as it came.

    KdbError where a session is not known, for the teacher must see titles.
    """
    asked = unanswered = rated = unfit = 0

    def job(line: Line) -> Job[Rated | None] | None:
        prediction = line.record
        if not isinstance(prediction, Prediction) or not (named := MatchedSession.of(prediction).matched_intents):
            return None
        session = sessions.get(prediction.key)
        if session is None:
            raise line.error(f"session {prediction.id!r} of {prediction.domain!r} is not known", "pass --sessions")
        return lambda: _attempt(session, named, teacher, sampling)

    for line, result in ordered_map(lines, job, threads, window=8 * threads):
        prediction = line.record
        if isinstance(prediction, Prediction) and MatchedSession.of(prediction).matched_intents:
            asked += 1
            unanswered += result is None
        if result and result[0]:
            line = line.with_fields(ratings=msgspec.to_builtins(result[0]))
        yield line
        rated, unfit = (rated + len(result[0]), unfit + result[1]) if result else (rated, unfit)
    more = f", {unfit} answers in another form than asked for" if unfit else ""
    console.say(f"{rated} intents of matched bundles rated{more}")
    finish(teacher, unanswered, asked)


def _attempt(
    session: Session, named: list[tuple[frozenset[str], str]], teacher: Teacher, sampling: Sampling
) -> Rated | None:
    ratings: list[Rating] = []
    try:
        for items, intent in named:
            question = intent_ratings.messages(session, items, intent)
            request = Request(
                "rate", question, intent_ratings.SCHEMA, sampling, expected_tokens=24, subject=session.id
            )
            answer = teacher.ask(request)
            try:
                ratings.append(intent_ratings.parse(answer.text, items, answer.model or teacher.identity.model))
            except ValueError:
                continue
    except Unanswered as error:
        if isinstance(error, RequestFailed):
            console.say(f"session {session.id!r} has no answer: {error}")
        return None
    return ratings, len(named) - len(ratings)
