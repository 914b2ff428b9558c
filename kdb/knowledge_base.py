"""What a student may look up: training sessions, validation sessions and knowledge, from a record stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kdb.conversation import Shown
from kdb.holdings import Holdings, common, stamp_of
from kdb.prompts import quoted
from kdb.records import Knowledge, Session
from kdb.stream import Line

if TYPE_CHECKING:
    import numpy as np

    from kdb.embed import Embedder


@dataclass
class KnowledgeBase:
    """Annotated sessions by split, and knowledge, each in the order of the stream."""

    training: list[Session] = field(default_factory=list)
    validation: list[Session] = field(default_factory=list)
    knowledge: list[Knowledge] = field(default_factory=list)
    stamps: list[dict[str, Any]] = field(default_factory=list)
    """What `kdb select` wrote on the records that it chose."""

    @property
    def holdings(self) -> Holdings:
        """What is here, in numbers."""
        everything: list[Session | Knowledge] = [*self.training, *self.validation, *self.knowledge]
        return Holdings(
            sessions=len(self.training),
            validation=len(self.validation),
            domains=sorted({record.domain for record in everything}),
            knowledge=dict(sorted(Counter(piece.format for piece in self.knowledge).items())),
            teachers=sorted({piece.teacher for piece in self.knowledge if piece.teacher}),
            selected=common(self.stamps),
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
            if stamp := stamp_of(line):
                base.stamps.append(stamp)
            if isinstance(record, Knowledge):
                base.knowledge.append(record)
            if not isinstance(record, Session):
                continue
            if record.split == "test":
                raise line.error(
                    f"session {record.id!r} is of the test split", "import with --split train,validation"
                )
            if (record.domain, record.id) in seen:
                raise line.error(f"session {record.id!r} of {record.domain!r} stands twice")
            seen.add((record.domain, record.id))
            if record.truth is not None:
                (base.validation if record.split == "validation" else base.training).append(record)
        return base


class Retriever:
    """Finds for a session the training sessions and the knowledge that are nearest by embedding.

    Only titles are embedded: nothing else of a session may be known at inference.
    """

    def __init__(self, base: KnowledgeBase, embedder: Embedder, demos: int, knowledge: int) -> None:
        self.base, self.embedder, self.demos, self.knowledge = base, embedder, demos, knowledge
        self._sessions = self._encoded([titles_text(s) for s in base.training]) if demos else None
        self._knowledge = self._encoded([k.text for k in base.knowledge]) if knowledge else None

    def shown(self, sessions: Sequence[Session]) -> list[Shown]:
        """Up to `demos` demonstrations, most similar last, and `knowledge` pieces, most similar first.

        Never the session itself, and only knowledge of its domain that was not drawn from it alone.
        """
        queries = self._encoded([titles_text(s) for s in sessions])
        return [self._shown(session, query) for session, query in zip(sessions, queries, strict=True)]

    def _shown(self, session: Session, query: np.ndarray) -> Shown:
        demos: list[Session] = []
        knowledge: list[Knowledge] = []
        if self._sessions is not None and len(self._sessions):
            ranked = (self.base.training[i] for i in _ranking(self._sessions, query))
            others = (s for s in ranked if (s.domain, s.id) != (session.domain, session.id))
            demos = [s for s, _ in zip(others, range(self.demos), strict=False)]
        if self._knowledge is not None and len(self._knowledge):
            pieces = (self.base.knowledge[i] for i in _ranking(self._knowledge, query))
            fit = (k for k in pieces if k.domain == session.domain and k.source.sessions != [session.id])
            knowledge = [k for k, _ in zip(fit, range(self.knowledge), strict=False)]
        return Shown(demos[::-1], knowledge)

    def _encoded(self, texts: list[str]) -> np.ndarray:
        return self.embedder.encode(texts)


def titles_text(session: Session) -> str:
    """A session as one text for the embedder: its titles."""
    return "; ".join(quoted(item.title) for item in session.items)


def _ranking(rows: np.ndarray, query: np.ndarray) -> list[int]:
    """All rows by falling cosine, the earlier first where two are the same."""
    import numpy as np

    return np.argsort(-(rows @ query), kind="stable").tolist()
