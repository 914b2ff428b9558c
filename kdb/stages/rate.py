"""Has a teacher rate the intents of predicted bundles that match a true one, and stamps predictions with it."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from kdb import console
from kdb.evaluation import intents
from kdb.evaluation.matches import matched_intents
from kdb.records import Prediction, Rating, Run, Session
from kdb.stream import Line
from kdb.teacher import Request, RequestFailed, Sampling, Unanswered
from kdb.teacher.cost_estimate import CostEstimate
from kdb.teacher.metered import MeteredClient, TeacherClient
from kdb.teacher.ordered_map import Work, ordered_map

KINDS = ("prediction",)

Sessions = Mapping[tuple[str, str], Session]
Rated = tuple[list[Rating], int]
"""The ratings of a prediction's intents, and how many more were answered in another form than asked for."""


def known(lines: Iterable[Line]) -> Sessions:
    """The sessions of some lines by domain and id."""
    return {s.key: s for line in lines if isinstance(s := line.record, Session)}


def run(
    lines: Iterable[Line], sessions: Sessions, client: MeteredClient, sampling: Sampling, at_once: int
) -> Iterator[Line]:
    """All lines in order, predictions with `ratings`; one that has no answer passes as it came.

    KdbError where a session is not known, for the teacher must see titles.
    """
    asked = unanswered = rated = unfit = 0
    for line, result in ordered_map(lines, _work(sessions, client, sampling), window=8 * at_once):
        prediction = line.record
        if isinstance(prediction, Prediction) and matched_intents(prediction):
            asked += 1
            unanswered += result is None
        if result and result[0]:
            line = line.with_fields(ratings=msgspec.to_builtins(result[0]))
        yield line
        rated, unfit = (rated + len(result[0]), unfit + result[1]) if result else (rated, unfit)
    more = f", {unfit} answers in another form than asked for" if unfit else ""
    console.say(f"{rated} intents of matched bundles rated{more}")
    client.finish(unanswered, asked)


def plan(lines: Iterable[Line], sessions: Sessions, client: CostEstimate, sampling: Sampling, at_once: int) -> Run:
    """What a run would ask, as a record."""
    asked = 0
    for line, _ in ordered_map(lines, _work(sessions, client, sampling), window=8 * at_once):
        asked += isinstance(line.record, Prediction) and bool(matched_intents(line.record))
    return client.record("rate", asked)


def _work(sessions: Sessions, client: TeacherClient, sampling: Sampling) -> Work[Rated]:
    def work(line: Line) -> Coroutine[Any, Any, Rated | None] | None:
        prediction = line.record
        if not isinstance(prediction, Prediction):
            return None
        named = matched_intents(prediction)
        if not named:
            return None
        session = sessions.get(prediction.key)
        if session is None:
            raise line.error(f"session {prediction.id!r} of {prediction.domain!r} is not known", "pass --sessions")
        return _attempt(session, named, client, sampling)

    return work


async def _attempt(
    session: Session, named: list[tuple[frozenset[str], str]], client: TeacherClient, sampling: Sampling
) -> Rated | None:
    ratings: list[Rating] = []
    try:
        for items, intent in named:
            request = Request(
                "rate", intents.messages(session, items, intent), intents.SCHEMA, sampling, expected_tokens=24
            )
            answer = await client.ask(request)
            try:
                ratings.append(intents.parse(answer.text, items, client.model))
            except ValueError:
                continue
    except Unanswered as error:
        if isinstance(error, RequestFailed):
            console.say(f"session {session.id!r} has no answer: {error}")
        return None
    return ratings, len(named) - len(ratings)
