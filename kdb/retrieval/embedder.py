"""Texts as unit vectors, kept on disk each computed once, and exact search for the nearest ones."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdb import console, weights
from kdb.errors import KdbError
from kdb.files import cache_folder
from kdb.provenance import file_hash

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Array = np.ndarray

_BLOCK = 256
"""Texts encoded between two commits: what an interrupted run keeps."""


class Embedder:
    """A sentence-transformers model by name, folder or hub id; loaded when a new text first needs it."""

    def __init__(self, name: str = weights.EMBEDDER) -> None:
        self.name = name

    def encode(self, texts: Sequence[str]) -> Array:
        """One unit row of float32 for each text: the same text gives the same bytes in whatever company."""
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=120)) as cache:
                cache.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")
                found = self._cached_or_computed(cache, wanted)
        except (OSError, sqlite3.Error) as error:
            raise KdbError(f"{self._file}: {error}", "delete it, or set KDB_CACHE") from None
        rows = [np.frombuffer(found[key], dtype="<f4") for key in keys]
        return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)

    def _cached_or_computed(self, cache: sqlite3.Connection, wanted: dict[bytes, str]) -> dict[bytes, bytes]:
        """The vectors of all texts as bytes; those that the cache lacks are computed and put there."""
        found: dict[bytes, bytes] = {}
        for block in _blocks(list(wanted)):
            marks = ",".join("?" * len(block))
            found.update(cache.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", block))
        missing = [key for key in wanted if key not in found]
        blocks = _blocks(missing)
        for block in console.track(blocks, "embedding texts", len(blocks)) if blocks else ():
            vectors = self._compute([wanted[key] for key in block])
            made = [(key, row.tobytes()) for key, row in zip(block, vectors, strict=True)]
            # Another process may have been faster; its vectors are the same.
            cache.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", made)
            cache.commit()
            found.update(made)
        return found

    def _compute(self, texts: list[str]) -> Array:
        import torch

        # In a batch, the last bits of a vector depend on the other texts and on the number of threads. On a
        # processor, one text and one thread at a time cost little and make every run the same.
        cpu = self._model.device.type == "cpu"
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if cpu else threads)
        try:
            vectors = self._model.encode(
                texts, batch_size=1 if cpu else 64, normalize_embeddings=True, show_progress_bar=False
            )
        finally:
            torch.set_num_threads(threads)
        return np.asarray(vectors, dtype="<f4")

    @cached_property
    def _model(self) -> SentenceTransformer:
        path = weights.embedder_path(self.name)
        import transformers
        from sentence_transformers import SentenceTransformer

        transformers.utils.logging.disable_progress_bar()
        try:
            return SentenceTransformer(path)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise KdbError(f"embedder {self.name!r} cannot be loaded: {reason}") from None

    @cached_property
    def _file(self) -> Path:
        """The cache of this model."""
        return cache_folder() / "embeddings" / f"{self.cache_name}.sqlite"

    @cached_property
    def cache_name(self) -> str:
        """The model's name as that of a file; for a local folder its content is part of it."""
        content = f"-{file_hash(Path(self.name))}" if Path(self.name).is_dir() else ""
        return re.sub(r"[^A-Za-z0-9._-]+", "_", self.name).strip("._") + content


def _blocks(keys: list[bytes]) -> list[list[bytes]]:
    return [keys[start : start + _BLOCK] for start in range(0, len(keys), _BLOCK)]


def cosines(queries: Array, pool: Array) -> Array:
    """The cosine of each query (a unit row) with each row of the pool, to six decimals.

    Rounded, because equal texts at different places of a matrix differ in the last bits of their products.
    """
    return np.round(queries @ pool.T, 6)


def nearest(queries: Array, pool: Array, k: int) -> Array:
    """For each query the indices of its `k` nearest rows of the pool by cosine, nearest first, ties by order.

    Exact; shape (queries, min(k, pool)).
    """
    if not len(pool):
        return np.zeros((len(queries), 0), dtype=np.intp)
    return np.argsort(-cosines(queries, pool), axis=1, kind="stable")[:, :k]
