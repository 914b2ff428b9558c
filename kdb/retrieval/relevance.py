"""How far a piece of knowledge bears on a session, and which pieces to show beside it.

A pattern names categories, and a rule drawn from patterns does too. It bears on a session as far as the least
of its categories does: each must be near to a title, a category that it names twice to two titles. Categories
are compared with titles by embedding, because the products' own must not be known (see DATA LEAK in `evidence`).
On Electronic's validation sessions five pieces found so fit the true categories in 63 %, five found by the
embedding of their sentence in 26 %. A rule in free words has only its sentence, which two titles must be near to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kdb.records import Knowledge
from kdb.retrieval.association_rules import SEPARATOR
from kdb.retrieval.embedder import Embedder, cosines

MIN_RELEVANCE = 0.35
"""A piece of this much relevance or more bears on a session: a tenth of all that Electronic has, and 4 of 5 that
fit the true categories."""
PATH_TAIL = 2
"""So many names of a category's path are compared, the narrowest; the others are the same for half the shop."""

Floats = NDArray[np.float32]


class Relevance:
    """Ranks pieces of knowledge, their texts embedded once."""

    def __init__(self, embedder: Embedder, pieces: Sequence[Knowledge]) -> None:
        self.pieces = pieces
        wanted = [list(_wanted(piece)) for piece in pieces]
        texts = sorted({text for own in wanted for text, _ in own})
        place = {text: n for n, text in enumerate(texts)}
        self._vectors = embedder.encode(texts)
        self._texts = np.array([place[text] for own in wanted for text, _ in own], dtype=np.intp)
        self._counts = np.array([count for own in wanted for _, count in own], dtype=np.intp)
        self._starts = np.cumsum([0, *map(len, wanted)])[:-1]
        self._support = np.array([_support(piece) for piece in pieces], dtype=np.float64)

    def ranked(self, titles: Floats) -> list[int]:
        """The places of all pieces for a session with these title vectors (n, d).

        Those that bear on it come first, the nearest at the head; then all others, the most supported first.
        """
        if not self.pieces:
            return []
        relevance = self._relevance(titles)
        bears = relevance >= MIN_RELEVANCE
        return np.lexsort((np.where(bears, -relevance, -self._support), ~bears)).tolist()

    def _relevance(self, titles: Floats) -> Floats:
        best = -np.sort(-cosines(titles, self._vectors), axis=0)
        enough = self._counts <= len(titles)
        found = np.where(enough, best[np.minimum(self._counts, len(titles)) - 1, self._texts], -1)
        return np.minimum.reduceat(found, self._starts)


def _wanted(piece: Knowledge) -> Iterator[tuple[str, int]]:
    """The texts that titles must be near to, each with the number of titles."""
    paths = [*(piece.antecedent or []), *(piece.consequent or [])]
    for path in dict.fromkeys(paths):
        yield " ".join(path.split(SEPARATOR)[-PATH_TAIL:]), paths.count(path)
    if not paths:
        yield piece.text, 2


def _support(piece: Knowledge) -> int:
    """The number of bundles, or of sessions, that a piece was drawn from."""
    return piece.count or len(piece.source.sessions)
