"""Search for the nearest of many texts: exact in a small pool, in an index that is built once in a large one.

The index is FAISS's inverted file: vectors lie in lists around centres, and a search scans the lists whose
centres are nearest to the query. What it scans are codes of a bit a dimension, in the processor's registers; the
best few are then compared in half precision. The index is kept in the cache under the hash of the embedder and the
texts, read through a memory map, and needs no embedding of the pool once it is there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kdb import console
from kdb.io.files import cache_folder
from kdb.retrieval.embedder import Array, Embedder, nearest

MAX_EXACT = 50_000
"""So many texts are searched exactly."""
N_LISTS = 2048
N_PROBE = 128
"""So many lists are scanned for a query: of a million texts, 99 % of the ten nearest are found (make bench)."""
N_RERANK = 200
"""So many of the best, and at least twice as many as are asked for, are compared in half precision."""
N_TRAIN = 32 * N_LISTS
"""Centres are learnt from so many texts."""
FACTORY = "IVF{lists},PQ{parts}x4fs,Refine(SQfp16)"
"""Four dimensions in four bits; half precision halves the file and changes no cosine by more than 0.001."""
BLOCK = 50_000


class VectorIndex:
    """Texts to search in."""

    def __init__(self, embedder: Embedder, texts: Sequence[str]) -> None:
        self.embedder, self.texts = embedder, texts

    def nearest(self, queries: Array, k: int) -> Array:
        """For each query (a unit row) the places of its `k` nearest texts by cosine, nearest first."""
        if len(self.texts) <= MAX_EXACT:
            return nearest(queries, self._all, k)
        self._index.k_factor = max(2, N_RERANK / k)
        return self._index.search(np.ascontiguousarray(queries, dtype=np.float32), k)[1]

    def vectors(self, places: Array) -> Array:
        """The vectors of these texts."""
        if len(self.texts) <= MAX_EXACT:
            return self._all[places]
        return self.embedder.encode([self.texts[n] for n in places])

    @cached_property
    def _all(self) -> Array:
        return self.embedder.encode(self.texts)

    @cached_property
    def _index(self) -> Any:
        import faiss

        if not self.file.exists():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            part = self.file.with_name(f"{self.file.name}.{os.getpid()}.part")
            faiss.write_index(self._build(), str(part))
            part.replace(self.file)
        index: Any = faiss.read_index(str(self.file), faiss.IO_FLAG_MMAP_IFC)
        faiss.extract_index_ivf(index).nprobe = N_PROBE
        return index

    @cached_property
    def file(self) -> Path:
        """Where the index is kept."""
        digest = hashlib.sha256(f"{self.embedder.cache_name} {N_LISTS} {FACTORY}".encode())
        for text in self.texts:
            digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
        return cache_folder() / "indexes" / f"{digest.hexdigest()[:32]}.faiss"

    def _build(self) -> Any:
        import faiss

        drawn = np.random.default_rng(0).choice(len(self.texts), min(N_TRAIN, len(self.texts)), replace=False)
        sample = self.embedder.encode([self.texts[n] for n in np.sort(drawn)])
        # Of unit rows the nearest are those of the largest cosine; by inner product, lists with long centres would
        # be searched too often.
        width = sample.shape[1]
        index: Any = faiss.index_factory(width, FACTORY.format(lists=N_LISTS, parts=width // 4), faiss.METRIC_L2)
        faiss.extract_index_ivf(index).cp.min_points_per_centroid = 1
        index.train(sample)
        for start in console.track(range(0, len(self.texts), BLOCK), "indexing", -(-len(self.texts) // BLOCK)):
            index.add(self.embedder.encode(self.texts[start : start + BLOCK]))
        return index
