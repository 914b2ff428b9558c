"""Ten nearest of a million stored sessions for a thousand queries, beside exact search with numpy.

    python tests/bench/retrieval.py [STORED]

Stored sessions and queries are drawn at random, a hundred around each centre, in 384 dimensions of falling spread:
their first 50 directions hold 54 % of the variance, and of 4,000 product titles, embedded, 58 %. (Without clusters
or spread no index could tell near from far; without noise any could.) The index is built, written and opened again
through a memory map. Both searches run in one thread, so processor time is what an idle machine takes, and what is
judged.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from rows import Row, conclude

from kdb.retrieval.embedder import Embedder
from kdb.retrieval.vector_index import VectorIndex

WIDTH, QUERIES, NEAREST, ROUNDS = 384, 1000, 10, 2
GOAL_SPEED, GOAL_RECALL = 20, 0.95
BLOCK = 50_000


class Synthetic(Embedder):
    """Its texts are numbers of rows that are drawn at random: each in a cluster of about a hundred."""

    def __init__(self, count: int) -> None:
        super().__init__(f"synthetic-{count}")
        self.spread = (np.arange(1, WIDTH + 1) ** -0.4).astype(np.float32)
        rng = np.random.default_rng(0)
        centres = (self.spread * rng.normal(size=(max(1, count // 100), WIDTH))).astype(np.float32)
        self.rows = self.drawn(count, centres, 1)
        self.queries = self.drawn(QUERIES, centres, 2)

    def drawn(self, count: int, centres: np.ndarray, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        rows = centres[rng.integers(len(centres), size=count)]
        for start in range(0, count, BLOCK):
            part = rows[start : start + BLOCK]
            part += 0.7 * self.spread * rng.standard_normal(part.shape, dtype=np.float32)
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        return rows

    def encode(self, texts):
        return self.rows[[int(text) for text in texts]]


def exact(queries: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """The k nearest rows of each query, block by block, so that memory suffices."""
    values, places = [], []
    for start in range(0, len(rows), BLOCK):
        cosines = queries @ rows[start : start + BLOCK].T
        best = np.argpartition(-cosines, k, axis=1)[:, :k]
        values.append(np.take_along_axis(cosines, best, 1))
        places.append(best + start)
    best = np.argsort(-np.concatenate(values, 1), axis=1)[:, :k]
    return np.take_along_axis(np.concatenate(places, 1), best, 1)


def timed(search: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """What a search finds, processor seconds and seconds."""
    cpu, began = time.process_time(), time.perf_counter()
    found = search()
    return found, time.process_time() - cpu, time.perf_counter() - began


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    embedder = Synthetic(count)
    texts, queries = [str(n) for n in range(count)], embedder.queries
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KDB_CACHE"] = folder
        _, build, _ = timed(lambda: VectorIndex(embedder, texts).nearest(queries[:1], NEAREST))
        pool = VectorIndex(embedder, texts)
        _, _, opened = timed(lambda: pool.nearest(queries[:1], NEAREST))
        mib = pool.file.stat().st_size / 2**20
        rounds = [
            (
                timed(lambda: pool.nearest(queries, NEAREST)),
                timed(lambda: exact(queries, embedder.rows, NEAREST)),
            )
            for _ in range(ROUNDS)
        ]
    (found, *_), (wanted, *_) = rounds[0]
    recall = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), wanted.tolist(), strict=True)) / wanted.size
    (ours, our_seconds), (theirs, their_seconds) = (
        np.min([r[n][1:] for r in rounds], axis=0).tolist() for n in range(2)
    )
    figures = {"kdb_cpu_s": ours, "numpy_cpu_s": theirs, "kdb_s": our_seconds, "numpy_s": their_seconds}
    figures |= {"build_cpu_s": build, "open_s": opened, "index_MiB": mib}
    what = f"nearest {NEAREST} of {count:,} stored for {QUERIES:,} queries"
    conclude(
        Row(what, "exact search with numpy", theirs / ours, GOAL_SPEED, figures),
        Row(f"recall of the {what}", "exact search with numpy", recall, GOAL_RECALL),
    )


if __name__ == "__main__":
    main()
