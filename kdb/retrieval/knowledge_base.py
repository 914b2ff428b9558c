"""What a student may look up: training sessions, validation sessions and knowledge, from a record stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from kdb.errors import KdbError
from kdb.io.stream import Line
from kdb.records import SHOWN_AS, Knowledge, KnowledgeFormat, Session
from kdb.retrieval.knowledge_base_summary import KnowledgeBaseSummary, selection_of, shared_settings


@dataclass
class KnowledgeBase:
    """Annotated sessions by split, and knowledge, each in the order of the stream."""

    training: list[Session] = field(default_factory=list)
    validation: list[Session] = field(default_factory=list)
    knowledge: list[Knowledge] = field(default_factory=list)
    stamps: list[dict[str, Any]] = field(default_factory=list)
    """What `kdb select` wrote on the records that it chose."""

    @property
    def summary(self) -> KnowledgeBaseSummary:
        """What is here, in numbers."""
        everything: list[Session | Knowledge] = [*self.training, *self.validation, *self.knowledge]
        return KnowledgeBaseSummary(
            sessions=len(self.training),
            validation=len(self.validation),
            domains=sorted({record.domain for record in everything}),
            knowledge=dict(sorted(Counter(piece.format for piece in self.knowledge).items())),
            teachers=sorted({piece.teacher for piece in self.knowledge if piece.teacher}),
            selected=shared_settings(self.stamps),
        )

    @classmethod
    def read(cls, lines: Iterable[Line]) -> KnowledgeBase:
        """Collect from lines decoded as `session` and `knowledge`; sessions without truth are left out.

        KdbError where a session is of the test split (its answer would leak) or stands twice.
        """
        base = cls()
        seen: set[tuple[str, str]] = set()
        for line in lines:
            record = line.record
            if stamp := selection_of(line):
                base.stamps.append(stamp)
            if isinstance(record, Knowledge):
                base.knowledge.append(record)
            if not isinstance(record, Session):
                continue
            if record.split == "test":
                raise line.error(
                    f"session {record.id!r} is of the test split", "import with --split train,validation"
                )
            if record.key in seen:
                raise line.error(f"session {record.id!r} of {record.domain!r} stands twice")
            seen.add(record.key)
            if record.truth is not None:
                (base.validation if record.split == "validation" else base.training).append(record)
        return base

    def of_formats(self, formats: Collection[KnowledgeFormat]) -> list[Knowledge]:
        """The knowledge of these formats, or all of it; KdbError where a format has none."""
        if not formats:
            return self.knowledge
        for name in formats:
            if not any(piece.format == name for piece in self.knowledge):
                raise KdbError(f"the input holds no {name}", f"kdb extract {name}, or leave it out of --formats")
        return [piece for piece in self.knowledge if piece.format in formats]


def thoughts(knowledge: Iterable[Knowledge]) -> dict[tuple[str, str], Knowledge]:
    """The first thought about each session, by its domain and id."""
    found: dict[tuple[str, str], Knowledge] = {}
    for piece in knowledge:
        if SHOWN_AS[piece.format] == "demonstration" and len(piece.source.sessions) == 1:
            found.setdefault((piece.domain, piece.source.sessions[0]), piece)
    return found
