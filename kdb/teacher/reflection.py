"""The conversation in which a teacher learns from its errors about one session (see `kdb.extraction.rules`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kdb.evaluation import metrics
from kdb.extraction import rules
from kdb.prompts import replies
from kdb.records import FirstAttempt, Session, Usage
from kdb.teacher import Answer, Message, Request, Sampling
from kdb.teacher.metered import TeacherClient, total


@dataclass
class Reflection:
    """What a session gave: its first-round scores, its rules, and what that cost."""

    session: Session
    first_attempt: FirstAttempt
    rules: list[str]
    usage: Usage


async def reflect(session: Session, client: TeacherClient, sampling: Sampling, rounds: int) -> Reflection:
    """What comes of one session, tried and reflected on `rounds` times."""
    return await Conversation(session, client, sampling).reflect(rounds)


class Conversation:
    """The conversation with a teacher about one session."""

    def __init__(self, session: Session, client: TeacherClient, sampling: Sampling) -> None:
        self.session = session
        self._client = client
        self._sampling = sampling
        self._talk: list[Message] = rules.first_messages(session)
        self._answers: list[Answer] = []

    async def reflect(self, rounds: int) -> Reflection:
        """Generate, reflect, write; again with the rules in mind until all is right or the rounds are over."""
        first: FirstAttempt | None = None
        written: list[str] = []
        for number in range(rounds):
            if number:
                self._next("rule_retry")
            attempt = rules.read_attempt(await self._ask("generate", rules.GUESS_SCHEMA, 30))
            first = first or _score(attempt, self.session)
            findings = rules.compare(attempt, self.session)
            if rules.is_perfect(findings):
                break
            self._next("rule_reflect", rules.feedback(findings))
            await self._ask("reflect", rules.CAUSES_SCHEMA, 40)
            self._next("rule_write")
            written += rules.read_rules(await self._ask("write", rules.RULES_SCHEMA, 20))
        assert first
        return Reflection(self.session, first, list(dict.fromkeys(written)), total(self._answers))

    async def _ask(self, purpose: str, schema: dict[str, Any], expected_tokens: int) -> str:
        expected_tokens *= len(self.session.items)
        request = Request(purpose, list(self._talk), schema, self._sampling, expected_tokens)
        answer = await self._client.ask(request)
        self._answers.append(answer)
        self._talk.append(replies.assistant_message(answer.text))
        return answer.text

    def _next(self, name: str, feedback: str = "") -> None:
        self._talk.append(rules.follow_up(name, self.session, feedback))


def _score(attempt: rules.Attempt | None, session: Session) -> FirstAttempt:
    """The strict precision and recall of a teacher's first bundles."""
    truth = [bundle.items for bundle in session.truth or []]
    found = metrics.score(rules.known_bundles(attempt, session), truth, [item.id for item in session.items])
    return FirstAttempt(round(found.precision, 6), round(found.recall, 6))
