"""What a student may look up: training sessions, validation sessions and knowledge, from a record stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import UnsetType

from kdb.errors import KdbError
from kdb.io.stream import Line
from kdb.records import SHOWN_AS, Knowledge, KnowledgeFormat, Session, SessionKey
from kdb.retrieval import labels
from kdb.retrieval.config import ContextConfig
from kdb.retrieval.knowledge_base_summary import KnowledgeBaseSummary, selection_of, shared_settings


@dataclass
class KnowledgeBase:
    """Sessions by split, annotated or with the bundles of a label, and knowledge, in the order of the stream."""

    training: list[Session] = field(default_factory=list)
    validation: list[Session] = field(default_factory=list)
    knowledge: list[Knowledge] = field(default_factory=list)
    labels: dict[SessionKey, Knowledge] = field(default_factory=dict)
    """Those of the training sessions that nobody annotated."""
    stamps: list[dict[str, Any]] = field(default_factory=list)
    """What `kdb select` wrote on the records that it chose."""

    @property
    def summary(self) -> KnowledgeBaseSummary:
        """What is here, in numbers."""
        everything: list[Session | Knowledge] = [*self.training, *self.validation, *self.knowledge]
        return KnowledgeBaseSummary(
            sessions=len(self.training) - len(self.labels),
            labelled=len(self.labels),
            validation=len(self.validation),
            domains=sorted({record.domain for record in everything}),
            knowledge=dict(sorted(Counter(piece.format for piece in self.knowledge).items())),
            teachers=sorted({piece.teacher for piece in self.knowledge if piece.teacher}),
            selected=shared_settings(self.stamps),
        )

    @classmethod
    def read(cls, lines: Iterable[Line], context: ContextConfig | None = None) -> KnowledgeBase:
        """Collect from lines decoded as `session` and `knowledge`; sessions without bundles are left out.

        A session that nobody annotated has the bundles of its label, if that is among the formats of `context` and
        sure enough for it. KdbError where a session is of the test split (its answer would leak) or stands twice,
        or a label is about a validation session.
        """
        base = cls()
        sessions: dict[SessionKey, Session] = {}
        taught: list[Line] = []
        for line in lines:
            record = line.record
            if stamp := selection_of(line):
                base.stamps.append(stamp)
            if isinstance(record, Knowledge):
                base.knowledge.append(record)
                taught += [line] if SHOWN_AS[record.format] == "target" else []
            if not isinstance(record, Session):
                continue
            if record.split == "test":
                raise line.error(
                    f"session {record.id!r} is of the test split", "import with --split train,validation"
                )
            if record.key in sessions:
                raise line.error(f"session {record.id!r} of {record.domain!r} stands twice")
            sessions[record.key] = record
        base._add(sessions, taught, context or ContextConfig())
        return base

    def _add(self, sessions: Mapping[SessionKey, Session], taught: Iterable[Line], context: ContextConfig) -> None:
        """Take the sessions that have bundles, their own or those of a label."""
        kept: list[Knowledge] = []
        for line in taught:
            label = line.record
            assert isinstance(label, Knowledge)
            session = sessions.get(labels.key_of(label))
            if session and session.split == "validation":
                raise line.error(
                    f"a label of the validation session {session.id!r}", "extract from training sessions"
                )
            kept += [label] if label.format in (context.formats or [label.format]) else []
        self.labels = labels.usable(sessions.values(), kept, context.min_confidence)
        for session in sessions.values():
            own = labels.labelled(session, self.labels)
            if own.truth is not None:
                (self.validation if own.split == "validation" else self.training).append(own)

    def of_formats(self, formats: Collection[KnowledgeFormat]) -> list[Knowledge]:
        """The knowledge of these formats, or all of it; KdbError where a format has none."""
        if not formats:
            return self.knowledge
        for name in formats:
            if not any(piece.format == name for piece in self.knowledge):
                raise KdbError(f"the input holds no {name}", f"kdb extract {name}, or leave it out of --formats")
        return [piece for piece in self.knowledge if piece.format in formats]

    def corrections(self) -> dict[SessionKey, Knowledge]:
        """The first correction of each training session that there is something to learn from: it has an error."""
        every = _of_sessions(piece for piece in self.knowledge if SHOWN_AS[piece.format] == "dialogue")
        asked = [(session, every[session.key]) for session in self.training if session.key in every]
        return {session.key: piece for session, piece in asked if _has_error(piece, session)}


def thoughts(knowledge: Iterable[Knowledge]) -> dict[SessionKey, Knowledge]:
    """The first thought about each session, by its domain and id."""
    return _of_sessions(piece for piece in knowledge if SHOWN_AS[piece.format] == "demonstration")


def _has_error(correction: Knowledge, session: Session) -> bool:
    """Whether the attempt is one at the items of the session, and not the right answer."""
    if labels.misfit(correction, session) or isinstance(correction.bundles, UnsetType):
        return False
    attempt, truth = ({frozenset(b.items) for b in own} for own in (correction.bundles, session.truth or []))
    return attempt != truth


def _of_sessions(knowledge: Iterable[Knowledge]) -> dict[SessionKey, Knowledge]:
    """The first piece that was drawn from each session alone."""
    found: dict[SessionKey, Knowledge] = {}
    for piece in knowledge:
        if len(piece.source.sessions) == 1:
            found.setdefault((piece.domain, piece.source.sessions[0]), piece)
    return found
