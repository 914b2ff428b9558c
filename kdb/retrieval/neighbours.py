"""Which stored sessions are nearest to a session: as a whole, or item by item. Only titles are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from kdb.prompts import sanitized
from kdb.records import Session
from kdb.retrieval import vector_index
from kdb.retrieval.embedder import Array, Embedder, cosines
from kdb.retrieval.vector_index import Pool
from kdb.student.config import Retrieval

CANDIDATES = 200
"""In a large store only sessions with one of so many titles nearest to an item are compared item by item."""


class Search(Protocol):
    """A way to find neighbours."""

    def nearest(self, sessions: Sequence[Session], k: int) -> list[list[int]]:
        """For each session the places of the `k` nearest stored ones, or of all, nearest first."""


def search(kind: Retrieval, embedder: Embedder, stored: Sequence[Session]) -> Search:
    """The search of this kind over stored sessions."""
    return Items(embedder, stored) if kind == "item" else WholeSessions(embedder, stored)


class WholeSessions:
    """Nearest by the cosine of all titles as one text."""

    def __init__(self, embedder: Embedder, stored: Sequence[Session]) -> None:
        self.embedder = embedder
        self._pool = Pool(embedder, [titles_text(session) for session in stored])

    def nearest(self, sessions: Sequence[Session], k: int) -> list[list[int]]:
        """See `Search`."""
        queries = self.embedder.encode([titles_text(session) for session in sessions])
        return [[n for n in row if n >= 0] for row in self._pool.nearest(queries, k).tolist()]


class Items:
    """Nearest by the mean over the session's items of the best cosine with an item of the stored session.

    It finds sessions that hold something for each item, which one text for all of them blurs.
    """

    def __init__(self, embedder: Embedder, stored: Sequence[Session]) -> None:
        self.embedder = embedder
        titles = sorted({item.title for session in stored for item in session.items})
        place = {title: n for n, title in enumerate(titles)}
        self._pool = Pool(embedder, titles)
        self._items = [np.array([place[item.title] for item in session.items]) for session in stored]
        self._holders: list[list[int]] = [[] for _ in titles]
        for n, own in enumerate(self._items):
            for title in own.tolist():
                self._holders[title].append(n)

    def nearest(self, sessions: Sequence[Session], k: int) -> list[list[int]]:
        """See `Search`."""
        return [self._nearest(session, k) for session in sessions]

    def _nearest(self, session: Session, k: int) -> list[int]:
        own = self.embedder.encode([item.title for item in session.items])
        places: Sequence[int] = range(len(self._items))
        if len(places) > vector_index.EXACT:
            found = self._pool.nearest(own, CANDIDATES)
            places = sorted({n for title in found.ravel().tolist() if title >= 0 for n in self._holders[title]})
        if not len(places):
            return []
        likeness = self._likeness(own, places)
        return [places[n] for n in np.argsort(-likeness, kind="stable")[:k].tolist()]

    def _likeness(self, own: Array, places: Sequence[int]) -> Array:
        """The mean best cosine of each stored session with these items."""
        items = [self._items[n] for n in places]
        wanted, column = np.unique(np.concatenate(items), return_inverse=True)
        near = cosines(own, self._pool.vectors(wanted))
        starts = np.cumsum([0, *map(len, items)])[:-1]
        return np.maximum.reduceat(near[:, column], starts, axis=1).mean(0)


def titles_text(session: Session) -> str:
    """A session as one text for the embedder: its titles."""
    return "; ".join(sanitized(item.title) for item in session.items)
