"""The least alike first, by embedding of what is known at inference: titles of a session, text of knowledge."""

from __future__ import annotations

from kdb.records import Session
from kdb.selection.orderings import farthest_first
from kdb.selection.strategy import Records, Strategy


class Diversity(Strategy):
    """Greedy k-centre order of the embeddings."""

    uses = ("embedder",)

    def order(self, records: Records) -> list[int]:
        """Next comes what is least like all before it."""
        from kdb.retrieval.by_session import titles_text
        from kdb.retrieval.embedder import open_embedder

        texts = [titles_text(r) if isinstance(r, Session) else r.text for r in records]
        return farthest_first(open_embedder(self.config.embedder).encode(texts), self.config.seed)
