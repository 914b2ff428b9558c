"""Retrieval by the whole session: all titles as one text."""

from __future__ import annotations

from collections.abc import Sequence

from kdb.prompts import sanitized
from kdb.records import Session
from kdb.retrieval.embedder import Embedder
from kdb.retrieval.vector_index import VectorIndex


class SessionRetriever:
    """Nearest by the cosine of all titles as one text."""

    def __init__(self, embedder: Embedder, stored: Sequence[Session]) -> None:
        self.embedder = embedder
        self._index = VectorIndex(embedder, [titles_text(session) for session in stored])

    def nearest(self, sessions: Sequence[Session], k: int) -> list[list[int]]:
        """See `Retriever`."""
        queries = self.embedder.encode([titles_text(session) for session in sessions])
        return [[n for n in row if n >= 0] for row in self._index.nearest(queries, k).tolist()]


def titles_text(session: Session) -> str:
    """A session as one text for the embedder: its titles."""
    return "; ".join(sanitized(item.title) for item in session.items)
