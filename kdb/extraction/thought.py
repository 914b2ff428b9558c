"""Thoughts: a teacher explains the true bundles of a session, and what it says is checked (`thought_text`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kdb import console, prompts
from kdb.extraction import thought_text
from kdb.extraction.format import Format, written
from kdb.extraction.thought_text import BundleStep, IntentStep, ItemStep, Thought, numbers
from kdb.prompts import replies
from kdb.records import Bundle, Item, Knowledge, Session, Source
from kdb.teacher import Answer, Message, Request, Sampling, Teacher

Drawn = tuple[Knowledge | None, str, int]
"""The thought, if it is kept, the check that it fails in the end, and how many of its sentences are shortened."""


@dataclass(frozen=True)
class ThoughtConfig:
    """How often a thought is asked for, and what becomes of one that stays unverified."""

    tries: Annotated[int, Meta(ge=1, description="How often a thought is asked for at most.")] = 3
    unverified: Annotated[
        Literal["keep", "drop"], Meta(description="What becomes of a thought that fails its checks.")
    ] = "drop"


class ThoughtFormat(Format[Drawn]):
    """Let a teacher explain why the true bundles of each session are formed, and check what it says.

    A thought goes from what the products are, over what they are bought for, to the bundles, which must
    be the true ones. It follows its session. What was answered once is never asked again.

    Example: kdb import DATA --split train | kdb extract thought --teacher annotations
    """

    name = "thought"
    summary = "Let a teacher explain true bundles."
    Config = ThoughtConfig
    config: ThoughtConfig

    def __init__(self, config: ThoughtConfig, sampling: Sampling) -> None:
        super().__init__(config, sampling)
        self._outcomes: Counter[tuple[str, bool]] = Counter()
        self._shortened = 0

    def draw(self, session: Session, teacher: Teacher) -> Drawn:
        """The thought about a session; one that fails its checks is asked for again with the reason."""
        question = messages = thought_text.messages(session)
        answers: list[Answer] = []
        text, problem, cut = "", "", 0
        for attempt in range(self.config.tries):
            answers.append(teacher.ask(self._request(session, messages, "thought again" if attempt else "thought")))
            text, problem, why, cut = _read(answers[-1], session)
            if not problem:
                break
            follow_up = [*question, replies.assistant_message(answers[-1].text), _again(why)]
            if follow_up == messages:  # the same answer again, so it would be so for ever
                break
            messages = follow_up
        if not text or (problem and self.config.unverified == "drop"):
            return None, problem, 0
        checks = thought_text.CHECKS
        thought = Knowledge(
            id="",
            format="thought",
            domain=session.domain,
            text=text,
            source=Source(sessions=[session.id]),
            checks=list(checks[: checks.index(problem)] if problem else checks),
        )
        return written(thought, teacher, answers, *thought_text.PROMPTS), problem, cut

    def _request(self, session: Session, messages: list[Message], purpose: str) -> Request:
        return Request(
            purpose,
            messages,
            thought_text.SCHEMA,
            self.sampling,
            expected_tokens=60 * len(session.items),
            subject=session.id,
            reference=lambda: msgspec.json.encode(annotated(session)).decode(),
        )

    def collect(self, session: Session, drawn: Drawn) -> Iterator[Knowledge]:
        """The thought, after its session."""
        thought, problem, cut = drawn
        self._outcomes[problem, thought is not None] += 1
        self._shortened += cut
        if thought:
            yield thought

    def conclude(self, teacher: Teacher) -> Iterator[Knowledge]:
        """Says how many thoughts were verified, and what the others failed."""
        more = ""
        for fate, is_kept in (("kept", True), ("dropped", False)):
            failed = {check: n for (check, kept), n in sorted(self._outcomes.items()) if check and kept is is_kept}
            if failed:
                reasons = ", ".join(f"{count} by {check}" for check, count in failed.items())
                more += f", {sum(failed.values())} unverified and {fate} (failed {reasons})"
        console.say(f"{self._outcomes['', True]} verified thoughts{more}")
        if self._shortened:
            console.say(f"sentences cut at {thought_text.SENTENCE} characters: {self._shortened}")
        yield from ()


def _read(answer: Answer, session: Session) -> tuple[str, str, str, int]:
    """The rendered thought (nothing where unreadable), the check that it fails, why, and its cut sentences."""
    text, cut = "", 0
    try:
        thought = thought_text.parse(answer.text)
        text, cut = thought_text.render(thought, session), thought_text.shortened(thought)
        thought_text.verify(thought, session)
    except thought_text.InvalidThought as error:
        why = "it was cut off, so be briefer" if answer.truncated else str(error)
        return text, error.check, why, cut
    return text, "", "", cut


def _again(why: str) -> Message:
    return {"role": "user", "content": prompts.render("thought_again", {"problem": why})}


def annotated(session: Session) -> Thought:
    """The thought that the session's annotations amount to; they say nothing of items outside bundles."""
    place, bundles = numbers(session), session.truth or []
    told = {i for bundle in bundles for i in bundle.items}
    return Thought(
        items=[ItemStep(place[item.id], _information(item)) for item in session.items if item.id in told],
        intents=[IntentStep(_intent(bundle), f"{len(bundle.items)} products serve it") for bundle in bundles],
        bundles=[BundleStep(_intent(b), sorted(place[i] for i in b.items)) for b in bundles],
    )


def _information(item: Item) -> str:
    deepest = max(item.category, key=len, default=[])
    # The last two names of a category: the last alone is often "Accessories".
    return f'it is of "{prompts.sanitized(" > ".join(deepest[-2:]))}"' if deepest else "its category is not known"


def _intent(bundle: Bundle) -> str:
    return bundle.intent or "an intent that nobody named"
