"""A student that a server has: asked what a student in this process is asked, through the layers of a teacher's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from kdb import console
from kdb.prompts import replies
from kdb.prompts.answers import TextFormat
from kdb.prompts.messages import Query, messages
from kdb.student.aggregation import aggregate
from kdb.student.methods.generation import GenerationConfig, fitted, read
from kdb.student.methods.method import Decision
from kdb.teacher import Request, RequestFailed, RequestInvalid, Sampling, Teacher, Unanswered
from kdb.teacher.cached import finish
from kdb.teacher.config import TeacherConfig
from kdb.teacher.ordered_map import ordered_map


class RemoteStudent:
    """Decides on sessions by the answers of a server, which may know grammars or not."""

    def __init__(
        self,
        server: Teacher,
        answer: TextFormat,
        writing: GenerationConfig,
        max_prompt_tokens: int,
        settings: TeacherConfig,
    ) -> None:
        self.server, self.answer, self.writing = server, answer, writing
        self.max_prompt_tokens, self.settings = max_prompt_tokens, settings
        self.counts: Counter[str] = Counter()

    def vote(self, polls: Sequence[Sequence[Query]], names: Sequence[str]) -> list[Decision]:
        """One decision for each poll, about the session of this name; KdbError where one has no answer (yet).

        A request that the server rejects is an answer that failed.
        """
        threads = self.settings.concurrency
        asked = ordered_map(
            zip(polls, names, strict=True), lambda one: lambda: self._attempt(*one), threads, window=8 * threads
        )
        found = [decision for _, decision in asked]
        answered = [decision for decision in found if decision is not None]
        if len(answered) < len(found):
            finish(self.server, len(found) - len(answered), len(found))
        self.counts.update(decision.status for decision in answered)
        return answered

    def finish(self) -> None:
        """Say what that took, and how many answers were of another form than asked for."""
        finish(self.server, 0, self.counts.total())
        if other := self.counts["repaired"] + self.counts["failed"]:
            failed = f"{self.counts['failed']} failed, {self.counts['repaired']} repaired"
            console.say(f"{other} of {self.counts.total()} answers were in another form than asked for: {failed}")

    def _attempt(self, poll: Sequence[Query], name: str) -> Decision | None:
        try:
            return aggregate([self._decide(question) for question in poll], self.writing.vote)
        except Unanswered as error:
            if isinstance(error, RequestFailed):
                console.say(f"session {name!r} has no answer: {error}")
            return Decision([], "failed") if isinstance(error, RequestInvalid) else None

    def _decide(self, question: Query) -> Decision:
        question, left_out = fitted(question, lambda own: self._request(own).prompt_tokens, self.max_prompt_tokens)
        answer = self.server.ask(self._request(question))
        said = self.answer.from_json(replies.strip_reasoning(answer.text).strip())
        decision = read(self.answer, said, question.items)
        return replace(decision, raw=answer.text, usage=answer.usage, shown=question.shown, left_out=left_out)

    def _request(self, question: Query) -> Request:
        size, writing = len(question.items), self.writing
        bound = not (writing.free or writing.reasoned)  # what comes before an answer fits no grammar
        return Request(
            purpose="infer",
            messages=messages(self.answer, question, writing.reasoned),
            schema=self.answer.schema(size) if bound else None,
            sampling=Sampling(writing.temperature, writing.seed + question.draw, self.settings.max_tokens),
            grammar=self.answer.grammar(size) if bound else "",
        )
