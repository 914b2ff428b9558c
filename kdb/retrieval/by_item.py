"""Retrieval item by item: stored sessions that hold something near to each item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kdb.records import Session
from kdb.retrieval import vector_index
from kdb.retrieval.embedder import Array, Embedder, cosines
from kdb.retrieval.vector_index import VectorIndex

N_CANDIDATE_TITLES = 200
"""In a large store only sessions with one of so many titles nearest to an item are compared item by item."""


class ItemRetriever:
    """Nearest by the mean over the session's items of the best cosine with an item of the stored session.

    It finds sessions that hold something for each item, which one text for all of them blurs.
    """

    def __init__(self, embedder: Embedder, stored: Sequence[Session]) -> None:
        self.embedder = embedder
        titles = sorted({item.title for session in stored for item in session.items})
        place = {title: n for n, title in enumerate(titles)}
        self._index = VectorIndex(embedder, titles)
        self._items = [np.array([place[item.title] for item in session.items]) for session in stored]
        self._sessions_of: list[list[int]] = [[] for _ in titles]
        for n, own in enumerate(self._items):
            for title in own.tolist():
                self._sessions_of[title].append(n)

    def nearest(self, sessions: Sequence[Session], k: int) -> list[list[int]]:
        """See `Retriever`."""
        return [self._nearest(session, k) for session in sessions]

    def _nearest(self, session: Session, k: int) -> list[int]:
        own = self.embedder.encode([item.title for item in session.items])
        candidates: Sequence[int] = range(len(self._items))
        if len(candidates) > vector_index.MAX_EXACT:
            near = {n for n in self._index.nearest(own, N_CANDIDATE_TITLES).ravel().tolist() if n >= 0}
            candidates = sorted({n for title in near for n in self._sessions_of[title]})
        if not len(candidates):
            return []
        similarity = self._similarity(own, candidates)
        return [candidates[n] for n in np.argsort(-similarity, kind="stable")[:k].tolist()]

    def _similarity(self, own: Array, candidates: Sequence[int]) -> Array:
        """The mean best cosine of each stored session with these items."""
        items = [self._items[n] for n in candidates]
        titles, column = np.unique(np.concatenate(items), return_inverse=True)
        cosine = cosines(own, self._index.vectors(titles))
        starts = np.cumsum([0, *map(len, items)])[:-1]
        return np.maximum.reduceat(cosine[:, column], starts, axis=1).mean(0)
