"""Adds after each annotated training session the thought that leads to its bundles.

A thought is checked (`kdb.extraction.thoughts`); one that fails is asked for again with the reason, a few times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from kdb import console, prompts
from kdb.extraction import thoughts
from kdb.prompts import replies
from kdb.provenance import content_hash
from kdb.records import Knowledge, Run, Session, Source
from kdb.stream import Line
from kdb.teacher import ANNOTATIONS, Answer, Request, Sampling, annotation_teacher
from kdb.teacher.cost_estimate import CostEstimate
from kdb.teacher.metered import MeteredClient, TeacherClient, total
from kdb.teacher.session_map import SessionFilter, SessionMap

KINDS = ("session",)


@dataclass(frozen=True)
class Options:
    """How a thought is asked for, how often, and what becomes of one that stays unverified."""

    sampling: Sampling
    tries: int
    unverified: Literal["keep", "drop"]


def run(
    lines: Iterable[Line], client: MeteredClient, choice: SessionFilter, options: Options
) -> Iterator[Line | Knowledge]:
    """All lines in order, after each session that was asked about its thought."""
    survey, outcomes = SessionMap(choice), Counter[str]()

    async def flow(session: Session) -> Knowledge | None:
        thought, problem = await _think(session, client, options)
        outcomes[problem or "verified"] += 1
        return thought

    for line, thought in survey.map(lines, flow, client.summary):
        yield line
        if thought:
            yield thought
    _report(outcomes, options.unverified)
    client.finish(survey.unanswered, survey.sessions)


def plan(lines: Iterable[Line], client: CostEstimate, choice: SessionFilter, options: Options) -> Run:
    """What a run would ask, as a record."""
    survey = SessionMap(choice)

    async def flow(session: Session) -> None:
        await _think(session, client, options)

    for _ in survey.map(lines, flow):
        pass
    return client.record("extract thought", survey.sessions)


def from_annotations(lines: Iterable[Line], choice: SessionFilter) -> Iterator[Line | Knowledge]:
    """All lines in order, after each annotated training session the thought that its annotations make."""
    made = 0
    for line in lines:
        yield line
        if (choice.most is None or made < choice.most) and choice.accepts(line):
            assert isinstance(line.record, Session)
            made += 1
            yield _annotated(line.record)
    console.say(f"{made} verified thoughts from {ANNOTATIONS}")


def _annotated(session: Session) -> Knowledge:
    thought = annotation_teacher.thought(session)
    thoughts.verify(thought, session)
    return _knowledge(session, thoughts.render(thought, session), ANNOTATIONS, "", [], list(thoughts.CHECKS))


async def _think(session: Session, client: TeacherClient, options: Options) -> tuple[Knowledge | None, str]:
    """The thought about a session, if it is to be kept, and the check that it fails in the end."""
    question = messages = thoughts.messages(session)
    answers: list[Answer] = []
    problem, text = "", ""
    for attempt in range(options.tries):
        purpose = "thought again" if attempt else "thought"
        request = Request(
            purpose, messages, thoughts.SCHEMA, options.sampling, expected_tokens=60 * len(session.items)
        )
        answers.append(await client.ask(request))
        text, problem, why = _read(answers[-1], session)
        if not problem:
            break
        follow_up = [*question, replies.assistant_message(answers[-1].text), _again(why)]
        if follow_up == messages:  # the same answer again, so it would be so for ever
            break
        messages = follow_up
    if not text or (problem and options.unverified == "drop"):
        return None, problem
    passed = list(thoughts.CHECKS[: thoughts.CHECKS.index(problem)] if problem else thoughts.CHECKS)
    prompt = prompts.template_hash(*thoughts.PROMPTS)
    return _knowledge(session, text, client.model, prompt, answers, passed), problem


def _read(answer: Answer, session: Session) -> tuple[str, str, str]:
    """The rendered thought, the check that it fails, and why; no text where it could not even be read."""
    text = ""
    try:
        thought = thoughts.parse(answer.text)
        text = thoughts.render(thought, session)
        thoughts.verify(thought, session)
    except thoughts.InvalidThought as error:
        why = "it was cut off, so be briefer" if answer.truncated else str(error)
        return text, error.check, why
    return text, "", ""


def _again(why: str) -> dict[str, str]:
    return {"role": "user", "content": prompts.render("thought_again", {"problem": why})}


def _knowledge(
    session: Session, text: str, teacher: str, prompt: str, answers: list[Answer], checks: list[str]
) -> Knowledge:
    thought = Knowledge(
        id="",
        format="thought",
        domain=session.domain,
        text=text,
        source=Source(sessions=[session.id]),
        teacher=teacher,
        prompt_hash=prompt,
        usage=total(answers),
        checks=checks,
    )
    thought.id = content_hash(thought)
    return thought


def _report(outcomes: Counter[str], unverified: str) -> None:
    failed = {check: count for check, count in sorted(outcomes.items()) if check != "verified"}
    reasons = ", ".join(f"{count} by {check}" for check, count in failed.items())
    fate = {"keep": "kept", "drop": "dropped"}[unverified]
    more = f", {sum(failed.values())} unverified and {fate} (failed {reasons})" if failed else ""
    console.say(f"{outcomes['verified']} verified thoughts{more}")
