"""Corrections: a teacher bundles a session unaided, and its attempt is compared with the true bundles.

What a student is shown then is the whole dialogue: the attempt, what was wrong with it, and the right answer
(adaptive in-context learning, Sun et al., arXiv 2312.16262).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import Struct, UnsetType

from kdb import console
from kdb.extraction import attempts
from kdb.extraction.attempts import Finding
from kdb.extraction.format import Format, written
from kdb.extraction.label_votes import read
from kdb.extraction.reflection import Conversation, score
from kdb.records import Bundle, Knowledge, Session, Source
from kdb.teacher import Sampling, Teacher

PROMPTS = ("teacher", "rule_generate")
CORRECT = "Correct."
Drawn = tuple[Knowledge | None, Counter[str]]
"""The correction, none where the answer cannot be read, and the faults of the answer."""


class CorrectionFormat(Format[Drawn]):
    """Let a teacher bundle annotated sessions unaided, and say by type of error where it erred.

    One request a session, the same that a rule begins with. A correction holds the attempt, and what is wrong with
    each of its bundles and missing beside them. It follows its session, and stands in demonstrations
    (kdb infer --demos 1 --set corrections=true). What was answered once is never asked again.

    Example: kdb import DATA --split train | kdb extract correction --teacher http://localhost:8000/v1 --model NAME
    """

    name = "correction"
    summary = "Let a teacher bundle sessions, and correct it."
    Config = Struct
    may_see_test = False
    needs_model = True

    def __init__(self, config: Struct, sampling: Sampling) -> None:
        super().__init__(config, sampling)
        self._asked = self._made = self._right = 0
        self._errors: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    def draw(self, session: Session, teacher: Teacher) -> Drawn:
        """The correction of what the teacher answers."""
        answer, faults = Conversation(session, teacher, self.sampling).attempt(), Counter[str]()
        bundles = read(answer.text, session, faults)
        if bundles is None:
            return None, faults
        correction = Knowledge(
            id="",
            format="correction",
            domain=session.domain,
            text=feedback(findings(session, bundles)),
            source=Source(sessions=[session.id]),
            bundles=bundles,
            first_attempt=score(attempts.read_attempt(answer.text), session),
        )
        return written(correction, teacher, [answer], *PROMPTS), faults

    def collect(self, session: Session, drawn: Drawn) -> Iterator[Knowledge]:
        """The correction, after its session."""
        correction, faults = drawn
        self._asked += 1
        self._faults.update(faults)
        if correction is None or isinstance(correction.bundles, UnsetType):
            return
        found = findings(session, correction.bundles)
        self._made += 1
        self._right += attempts.is_perfect(found)
        self._errors.update(one.judgement for one in found if one.judgement != "right")
        yield correction

    def conclude(self, teacher: Teacher) -> Iterator[Knowledge]:
        """Says what came of it; `measured` holds the same."""
        errors = dict(sorted(self._errors.items()))
        faults = {reason: count for reason, count in sorted(self._faults.items()) if count}
        self.measured = {"corrections": self._made, "correct": self._right, "errors": errors, "faults": faults}
        console.say(f"{self._made} corrections of {self._asked} sessions, {self._right} of them without an error")
        if errors:
            console.say(f"bundles by error: {_counted(errors)}")
        if faults:
            console.say(f"left out of attempts: {_counted(faults)}")
        yield from ()


def findings(session: Session, bundles: Sequence[Bundle]) -> list[Finding]:
    """What is right and wrong with an attempt at an annotated session."""
    return attempts.compare(attempts.stated(session, bundles), session)


def feedback(found: Sequence[Finding]) -> str:
    """The findings as a student reads them, a line for each, or that all is right.

    Without square brackets: they are taken out of whatever stands in a prompt.
    """
    return CORRECT if attempts.is_perfect(found) else "\n".join(map(_line, found))


def _line(one: Finding) -> str:
    detail = f" ({one.detail})" if one.detail else ""
    return f"Bundle {', '.join(map(str, one.products))}: {one.judgement}{detail}"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())
