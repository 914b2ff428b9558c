"""A model of sentence-transformers as an embedder, its vectors kept on disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdb import console, registry
from kdb.errors import KdbError
from kdb.io.disk_cache import DiskCache
from kdb.io.files import cache_folder
from kdb.io.provenance import file_hash
from kdb.retrieval import EMBEDDER, EMBEDDERS
from kdb.retrieval.embedder import Array, Embedder
from kdb.retrieval.packaged import embedder_path

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BLOCK = 256
"""Texts encoded between two commits: what an interrupted run keeps."""
_RECENT = 1 << 14
"""So many vectors are kept in memory too: a shop's sessions name the same products again and again."""


class SentenceEmbedder(Embedder):
    """A model by name, folder or hub id; loaded when a new text first needs it."""

    def __init__(self, name: str = EMBEDDER) -> None:
        super().__init__(name)
        self._recent: dict[str, Array] = {}

    def encode(self, texts: Sequence[str]) -> Array:
        """See `Embedder`; each text is computed once."""
        if len(self._recent) > _RECENT:
            self._recent = {}
        rows = {text: self._recent[text] for text in texts if text in self._recent}
        rows |= self._stored([text for text in dict.fromkeys(texts) if text not in rows])
        if len(rows) <= _RECENT:
            self._recent |= rows
        return np.stack([rows[text] for text in texts]) if rows else np.zeros((0, 0), dtype=np.float32)

    def _stored(self, texts: Sequence[str]) -> dict[str, Array]:
        """The vector of each text by the cache on disk."""
        if not texts:
            return {}
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        found = self._cached_or_computed(dict(zip(keys, texts, strict=True)))
        return {text: np.frombuffer(found[key], dtype="<f4") for key, text in zip(keys, texts, strict=True)}

    def _cached_or_computed(self, wanted: dict[bytes, str]) -> dict[bytes, bytes]:
        """The vectors of all texts as bytes; those that the cache lacks are computed and put there."""
        found = self._cache.get(wanted)
        missing = [key for key in wanted if key not in found]
        blocks = [missing[start : start + _BLOCK] for start in range(0, len(missing), _BLOCK)]
        for block in console.track(blocks, "embedding texts", len(blocks)) if blocks else ():
            vectors = self._compute([wanted[key] for key in block])
            made = {key: row.tobytes() for key, row in zip(block, vectors, strict=True)}
            # Another process may have been faster; its vectors are the same.
            self._cache.put(made, replace=False)
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
        path = embedder_path(self.name)
        import transformers
        from sentence_transformers import SentenceTransformer

        transformers.utils.logging.disable_progress_bar()
        try:
            return SentenceTransformer(path)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            hint = f"{registry.nearest(EMBEDDERS, self.name)}packaged: {EMBEDDER}"
            raise KdbError(f"embedder {self.name!r} cannot be loaded: {reason}", hint) from None

    @cached_property
    def _cache(self) -> DiskCache:
        """The vectors of this model."""
        path = cache_folder() / "embeddings" / f"{self.cache_name}.sqlite"
        return DiskCache(path, "vectors", hint="delete it, or set KDB_CACHE")

    @cached_property
    def cache_name(self) -> str:
        """The model's name as that of a file; for a local folder its content is part of it."""
        content = f"-{file_hash(Path(self.name))}" if Path(self.name).is_dir() else ""
        return re.sub(r"[^A-Za-z0-9._-]+", "_", self.name).strip("._") + content
