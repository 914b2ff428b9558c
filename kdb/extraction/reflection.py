"""The conversation in which a teacher learns from its errors about one session (see `attempts`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.containment import precision, recall
from kdb.extraction import attempts
from kdb.prompts import replies
from kdb.records import FirstAttempt, Session, Usage
from kdb.teacher import Answer, Message, Request, Sampling, Teacher, total


@dataclass
class Reflection:
    """What a session gave: its first scores, its rules, and what that cost."""

    session: Session
    first_attempt: FirstAttempt
    rules: list[str]
    usage: Usage
    model: str = ""
    """The model that wrote them, as its replies name it."""


class Conversation:
    """The conversation with a teacher about one session."""

    def __init__(self, session: Session, teacher: Teacher, sampling: Sampling) -> None:
        self.session = session
        self._teacher = teacher
        self._sampling = sampling
        self._talk: list[Message] = attempts.first_messages(session)
        self._answers: list[Answer] = []

    def reflect(self, rounds: int) -> Reflection:
        """Generate, reflect, write; again with the rules in mind until all is right or `rounds` are over."""
        first: FirstAttempt | None = None
        written: list[str] = []
        for number in range(rounds):
            if number:
                self._next("rule_retry")
            attempt = attempts.read_attempt(self.attempt().text)
            first = first or score(attempt, self.session)
            findings = attempts.compare(attempt, self.session)
            if attempts.is_perfect(findings):
                break
            self._next("rule_reflect", attempts.feedback(findings))
            self._ask("reflect", attempts.CAUSES_SCHEMA, 40)
            self._next("rule_write")
            written += attempts.read_rules(self._ask("write", attempts.RULES_SCHEMA, 20).text)
        assert first
        return Reflection(
            self.session, first, list(dict.fromkeys(written)), total(self._answers), self._answers[-1].model
        )

    def attempt(self) -> Answer:
        """The teacher's bundles; what a conversation begins with, the same for whoever asks, so paid for once."""
        return self._ask("generate", attempts.ATTEMPT_SCHEMA, 30)

    def _ask(self, purpose: str, schema: dict[str, Any], expected_tokens: int) -> Answer:
        request = Request(
            purpose,
            list(self._talk),
            schema,
            self._sampling,
            expected_tokens * len(self.session.items),
            subject=self.session.id,
            reference=lambda: attempts.annotated(self.session),
        )
        answer = self._teacher.ask(request)
        self._answers.append(answer)
        self._talk.append(replies.assistant_message(answer.text))
        return answer

    def _next(self, name: str, feedback: str = "") -> None:
        self._talk.append(attempts.follow_up(name, self.session, feedback))


def score(attempt: attempts.Attempt | None, session: Session) -> FirstAttempt:
    """The strict precision and recall of a teacher's first bundles."""
    truth = [bundle.items for bundle in session.truth or []]
    matched = MatchedSession(attempts.known_bundles(attempt, session), truth, [i.id for i in session.items])
    return FirstAttempt(round(precision(matched), 6), round(recall(matched), 6))
