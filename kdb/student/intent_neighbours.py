"""The intents of the most similar training bundles, which a student reads before it writes one.

A bundle is compared by the mean of its title vectors, as a document is by the mean of its words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kdb.errors import KdbError
from kdb.retrieval.embedder import Array, Embedder, cosines
from kdb.student.tensors import write_tensors

FILE = "neighbours.safetensors"
COUNT = 3
"""So many different intents are shown."""
_BLOCK = 256
"""Bundles compared with all others at a time, for bounded memory."""


@dataclass
class IntentNeighbours:
    """Training bundles: a row of `vectors` (n, d), an intent, and the session that each is of."""

    embedder: Embedder
    vectors: Array
    intents: list[str]
    sessions: list[str]

    @classmethod
    def of(
        cls, embedder: Embedder, bundles: Sequence[Sequence[str]], intents: list[str], sessions: list[str]
    ) -> IntentNeighbours:
        """Bundles given by the titles of their items."""
        return cls(embedder, mean_vectors(embedder, bundles), intents, sessions)

    def nearest(self, bundles: Sequence[Sequence[str]], sessions: Sequence[str] = ()) -> list[list[str]]:
        """Up to COUNT different intents for each bundle, the nearest first; none of its own session, if given."""
        if not bundles or not self.intents:
            return [[]] * len(bundles)
        queries, own = mean_vectors(self.embedder, bundles), np.array(self.sessions)
        blocks = (cosines(queries[n : n + _BLOCK], self.vectors) for n in range(0, len(queries), _BLOCK))
        found = []
        for n, row in enumerate(row for block in blocks for row in block):
            if sessions:
                row = np.where(own == sessions[n], -np.inf, row)
            order = [k for k in np.argsort(-row, kind="stable")[: 20 * COUNT] if np.isfinite(row[k])]
            found.append(list(dict.fromkeys(self.intents[k] for k in order))[:COUNT])
        return found

    def save(self, folder: Path) -> None:
        """Write what is compared and shown, without the sessions."""
        write_tensors(folder / FILE, {"vectors": self.vectors}, {"intents": json.dumps(self.intents)})


def load(folder: Path, embedder: Embedder) -> IntentNeighbours | None:
    """What `save` wrote; None where there is nothing. KdbError where it cannot be read."""
    from safetensors import SafetensorError, safe_open

    if not (folder / FILE).exists():
        return None
    try:
        with safe_open(folder / FILE, "np") as file:
            vectors, intents = file.get_tensor("vectors"), json.loads((file.metadata() or {})["intents"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise KdbError(f"{folder / FILE}: {error}", "train the adapter anew") from None
    if len(vectors) != len(intents) or not np.isfinite(vectors).all():
        raise KdbError(f"{folder / FILE} does not hold a finite vector for each intent", "train the adapter anew")
    return IntentNeighbours(embedder, vectors, intents, [""] * len(intents))


def mean_vectors(embedder: Embedder, bundles: Sequence[Sequence[str]]) -> Array:
    """The mean title vector of each bundle, of length one: (bundles, d) of float32."""
    if not bundles:
        return np.zeros((0, 0), dtype=np.float32)
    vectors = embedder.encode([title for titles in bundles for title in titles])
    ends = np.cumsum([len(titles) for titles in bundles])
    means = np.stack([part.mean(axis=0) for part in np.split(vectors, ends[:-1])])
    return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
