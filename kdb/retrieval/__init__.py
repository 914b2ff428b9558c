"""How knowledge is found again for a session: embedders, a vector index, retrievers of demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kdb.records import Session

EMBEDDER = "all-MiniLM-L6-v2"
"""The packaged one."""
EMBEDDERS = {
    "all-MiniLM-L6-v2": "kdb.retrieval.sentence_embedder:SentenceEmbedder",
}
"""What makes vectors of texts (`kdb.retrieval.embedder.Embedder`), by name. Any other name is that of a model of
sentence-transformers."""
RETRIEVERS = {
    "session": "kdb.retrieval.by_session:SessionRetriever",
    "item": "kdb.retrieval.by_item:ItemRetriever",
}
"""What decides which stored sessions are near: `--retrieval`. Made with an embedder and the stored sessions."""


class Retriever(Protocol):
    """Finds the stored sessions that are nearest to a session; only titles are compared."""

    def nearest(self, sessions: Sequence[Session], k: int) -> list[list[int]]:
        """For each session the indices of the `k` nearest stored ones, or of all, nearest first."""
