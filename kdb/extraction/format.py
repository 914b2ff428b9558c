"""What a format of knowledge is: how it is drawn from sessions one by one, and from all of them in the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeVar

from kdb import prompts
from kdb.errors import KdbError
from kdb.io.provenance import content_hash
from kdb.io.stream import Line
from kdb.records import Knowledge, Session
from kdb.teacher import Answer, Sampling, Teacher, total

T = TypeVar("T")


class Format(ABC, Generic[T]):
    """A format of knowledge; the docstring of a subclass is the help of its command, `Config` holds its options.

    Sessions come in the order of the stream. `draw` may run in several threads at once, all else in one.
    """

    name: ClassVar[str]
    """As in the registry and in records."""
    summary: ClassVar[str]
    """What the command does, in a line of help."""
    Config: ClassVar[type]
    needs_teacher: ClassVar[bool] = True
    needs_annotations: ClassVar[bool] = True
    """Whether sessions without annotations are passed by."""
    needs_model: ClassVar[bool] = False
    """Whether the annotations, who make no errors, have nothing to say."""
    may_see_test: ClassVar[bool] = True
    """Whether a user may allow it to be drawn from test sessions."""

    def __init__(self, config: Any, sampling: Sampling) -> None:
        self.config, self.sampling = config, sampling
        self.measured: dict[str, Any] = {}
        """What was measured on the way, for the record of the run."""

    def prepare(self, lines: Iterable[Line]) -> Iterable[Line]:
        """The lines again, for a format that needs to see all of them before the first session is asked about."""
        return lines

    @abstractmethod
    def draw(self, session: Session, teacher: Teacher) -> T:
        """What one session gives; Unanswered where the teacher does not answer."""

    def collect(self, session: Session, drawn: T) -> Iterable[Knowledge]:
        """The knowledge that follows the session in the stream."""
        return ()

    def conclude(self, teacher: Teacher) -> Iterable[Knowledge]:
        """The knowledge that all sessions together give; also the place to say what came of it."""
        return ()


def written(knowledge: Knowledge, teacher: Teacher, answers: list[Answer], *names: str) -> Knowledge:
    """The knowledge signed: by whom, as replies name the model, after which prompts, and what all answers took."""
    knowledge.teacher = next((answer.model for answer in reversed(answers) if answer.model), teacher.identity.model)
    # The annotations were asked nothing.
    knowledge.prompt_hash = "" if not teacher.is_model else prompts.template_hash(*names)
    knowledge.usage = total(answers)
    knowledge.id = knowledge.id or content_hash(knowledge)
    return knowledge


def test_split_error(line: Line, session: Session, may_see_test: bool) -> KdbError:
    """The error of a test session: what is drawn from it can no longer be measured by it."""
    more = ", or --allow-test to draw from it all the same" if may_see_test else ""
    return line.error(f"session {session.id!r} is of the test split", f"pass on only training sessions{more}")
