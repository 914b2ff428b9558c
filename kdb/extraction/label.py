"""Labels: a teacher's own bundles and intents for sessions; several answers and their agreement (`label_votes`)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kdb import console, prompts
from kdb.extraction import attempts
from kdb.extraction.format import Format, written
from kdb.extraction.label_votes import consensus, read
from kdb.extraction.thought_text import prompt_fields
from kdb.io.stream import Line
from kdb.records import Bundle, Knowledge, Session, SessionKey, Source
from kdb.teacher import Answer, Message, Request, Sampling, Teacher

PROMPTS = ("teacher", "label")
Drawn = tuple[Knowledge | None, Counter[str]]
BOUNDS = (0.8, 0.5, 0.0)
"""The confidences from which quality is told apart, falling."""


@dataclass(frozen=True)
class LabelConfig:
    """How often each session is asked about, and with how many examples."""

    samples: Annotated[
        int, Meta(ge=1, description="Answers about each session, each with its items in another order.")
    ] = 3
    demos: Annotated[
        int, Meta(ge=0, description="Demonstrations: the most similar annotated sessions of the input.")
    ] = 3


class LabelFormat(Format["Drawn | None"]):
    """Let a teacher bundle training sessions, annotated or not: its bundles, its intents, and how sure they are.

    Each session is asked about several times, with its items in another order and the most similar annotated
    sessions of the input as demonstrations, never itself. A label holds the bundles of the answer that agrees most
    with the others; its confidence is the mean agreement of all answers. On annotated sessions the labels are
    compared with the annotations. The whole input is read first.

    Example: kdb import DATA --split train | kdb extract label --teacher http://localhost:8000/v1 --model NAME
    """

    name = "label"
    summary = "Let a teacher bundle sessions, annotated or not."
    Config = LabelConfig
    needs_annotations = False
    may_see_test = False
    config: LabelConfig

    def __init__(self, config: LabelConfig, sampling: Sampling) -> None:
        super().__init__(config, sampling)
        self._demos: dict[SessionKey, list[Session]] = {}
        self._faults: Counter[str] = Counter()
        self._confidences: list[float] = []
        self._quality: list[tuple[float | None, float]] = []
        self._asked = self._made = 0

    def prepare(self, lines: Iterable[Line]) -> Iterable[Line]:
        """All lines, once the annotated sessions nearest to each session are known."""
        held = list(lines)
        if self.config.demos:
            domains: dict[str, list[Session]] = {}
            for line in held:
                if isinstance(session := line.record, Session) and session.split in (None, "train"):
                    domains.setdefault(session.domain, []).append(session)
            for sessions in domains.values():
                self._find_demos(sessions)
        return held

    def _find_demos(self, sessions: list[Session]) -> None:
        from kdb.retrieval.by_session import SessionRetriever
        from kdb.retrieval.embedder import open_embedder

        annotated = [session for session in sessions if session.truth]
        if not annotated:
            return
        found = SessionRetriever(open_embedder(), annotated).nearest(sessions, self.config.demos + 1)
        for session, places in zip(sessions, found, strict=True):
            others = [annotated[n] for n in places if annotated[n].key != session.key][: self.config.demos]
            self._demos[session.key] = others[::-1]  # the most similar one last, next to the question

    def draw(self, session: Session, teacher: Teacher) -> Drawn | None:
        """The label, none where no answer can be read, and the faults of the answers; None where nobody knows."""
        if not teacher.is_model and session.truth is None:
            return None
        answers, samples, faults = list[Answer](), list[list[Bundle]](), Counter[str]()
        for number in range(self.config.samples):
            shown = _in_other_order(session, number)
            answers.append(teacher.ask(self._request(shown, number)))
            if (bundles := read(answers[-1].text, shown, faults)) is not None:
                samples.append(bundles)
        return (self._label(session, teacher, answers, samples) if samples else None), faults

    def _request(self, shown: Session, number: int) -> Request:
        sampling = msgspec.structs.replace(self.sampling, seed=self.sampling.seed + number)
        return Request(
            "label",
            self._messages(shown),
            attempts.ATTEMPT_SCHEMA,
            sampling,
            expected_tokens=15 * len(shown.items),
            subject=shown.id,
            reference=lambda: attempts.annotated(shown),
        )

    def _messages(self, shown: Session) -> list[Message]:
        turns: list[Message] = [{"role": "system", "content": prompts.template("teacher")}]
        for demo in self._demos.get(shown.key, []):
            turns += [_question(demo), {"role": "assistant", "content": attempts.annotated(demo)}]
        return [*turns, _question(shown)]

    def _label(
        self, session: Session, teacher: Teacher, answers: list[Answer], samples: list[list[Bundle]]
    ) -> Knowledge:
        agreed = consensus(samples)
        titles = {item.id: prompts.sanitized(item.title) for item in session.items}
        lines = [f"{b.intent or 'Bundle'}: {' + '.join(titles[i] for i in b.items)}" for b in agreed.bundles]
        label = Knowledge(
            id="",
            format="label",
            domain=session.domain,
            text="\n".join(lines),
            source=Source(sessions=[session.id]),
            confidence=UNSET if agreed.confidence is None else agreed.confidence,
            count=len(samples),
            bundles=agreed.bundles,
            pair_shares=[(a, b, share) for (a, b), share in agreed.pair_shares.items()],
            demos=[demo.id for demo in self._demos.get(session.key, [])],
        )
        return written(label, teacher, answers, *PROMPTS)

    def collect(self, session: Session, drawn: Drawn | None) -> Iterator[Knowledge]:
        """The label, after its session."""
        from kdb.evaluation.matched_session import matched_f1

        if drawn is None:
            return
        label, faults = drawn
        self._asked += 1
        self._faults.update(faults)
        if label is None:
            return
        self._made += 1
        confidence = None if isinstance(label.confidence, UnsetType) else label.confidence
        self._confidences += [] if confidence is None else [confidence]
        if session.truth is not None and not isinstance(label.bundles, UnsetType):
            truth = [bundle.items for bundle in session.truth]
            self._quality.append((confidence, matched_f1([bundle.items for bundle in label.bundles], truth)))
        yield label

    def conclude(self, teacher: Teacher) -> Iterator[Knowledge]:
        """Says what came of it; `measured` holds the same."""
        faults = {reason: count for reason, count in sorted(self._faults.items()) if count}
        self.measured = {"labels": self._made, "faults": faults, "quality": _by_confidence(self._quality)}
        sure = f", mean confidence {_mean(self._confidences):.3f}" if self._confidences else ""
        console.say(f"{self._made} labels of {self._asked} sessions{sure}")
        if faults:
            console.say(f"left out: {', '.join(f'{count} {reason}' for reason, count in faults.items())}")
        for row in self.measured["quality"]:
            console.say(f"matched F1 {row['matched_f1']:.3f} on {row['sessions']} annotated sessions{row['where']}")
        yield from ()


def _in_other_order(session: Session, number: int) -> Session:
    """The session with its items in the order of a sample; the first sample has them as they are."""
    if not number:
        return session
    items = list(session.items)
    random.Random(f"{number} {session.domain} {session.id}").shuffle(items)
    return msgspec.structs.replace(session, items=items)


def _question(session: Session) -> Message:
    return {"role": "user", "content": prompts.render("label", prompt_fields(session))}


def _by_confidence(quality: list[tuple[float | None, float]]) -> list[dict[str, Any]]:
    """The mean matched F1 of all labels of annotated sessions, then by their confidence."""
    rows = (
        [{"where": "", "sessions": len(quality), "matched_f1": _mean([f1 for _, f1 in quality])}] if quality else []
    )
    above = 1.01
    for bound in BOUNDS:
        own = [f1 for confidence, f1 in quality if confidence is not None and bound <= confidence < above]
        if own:
            where = f" with a confidence of {bound} or more" + (f", below {above}" if above <= 1 else "")
            rows.append({"where": where, "sessions": len(own), "matched_f1": _mean(own)})
        above = bound
    return rows


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 6)
