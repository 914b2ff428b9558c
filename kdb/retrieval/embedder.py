"""Texts as unit vectors, and exact search for the nearest ones."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from kdb import registry
from kdb.io.provenance import file_hash
from kdb.retrieval import EMBEDDER, EMBEDDERS

Array = np.ndarray


class Embedder(ABC):
    """Turns texts into vectors; `name` is the one that it is asked for by."""

    def __init__(self, name: str = EMBEDDER) -> None:
        self.name = name

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> Array:
        """One unit row of float32 for each text: the same text gives the same bytes in whatever company."""

    @cached_property
    def cache_name(self) -> str:
        """The name under which what is made of the vectors is kept: it changes with the code that makes them."""
        return f"{self.name}-{file_hash(Path(inspect.getfile(type(self))))}"


def open_embedder(name: str = EMBEDDER) -> Embedder:
    """The embedder of a name in the registry; any other name is a model of sentence-transformers."""
    embedder: Embedder = registry.load(EMBEDDERS, name if name in EMBEDDERS else EMBEDDER)(name)
    return embedder


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
