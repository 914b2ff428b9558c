"""Nearest neighbours among a million stored sessions, beside exact search with numpy.

    python tests/bench/retrieval.py [STORED]

Stored sessions and queries are drawn at random around thousands of centres, in 384 dimensions of falling
spread, as those of real embeddings are. Prints how long the index takes to build and to open, the seconds for
1,000 queries on two cores, how many of the ten exact neighbours are found, and the ratio of the two searches.
The goal is under 5 s and 95 %.
"""

import os
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np

from kdb.embed import Embedder
from kdb.knowledge.vector_index import Pool

WIDTH, QUERIES, NEAREST = 384, 1000, 10
GOAL_SECONDS, GOAL_RECALL = 5.0, 0.95
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


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    embedder = Synthetic(count)
    texts = [str(n) for n in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KDB_CACHE"] = folder
        times = []
        for _ in range(2):  # the first builds the index, the second opens it
            began = time.perf_counter()
            pool = Pool(embedder, texts)
            pool.nearest(embedder.queries[:1], NEAREST)
            times.append(time.perf_counter() - began)
        mib = pool.file.stat().st_size / 2**20
        began = time.perf_counter()
        found = pool.nearest(embedder.queries, NEAREST)
        ours = time.perf_counter() - began
    began = time.perf_counter()
    wanted = exact(embedder.queries, embedder.rows, NEAREST)
    theirs = time.perf_counter() - began
    recall = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), wanted.tolist(), strict=True)) / wanted.size
    print(f"{count:,} stored: built in {times[0]:.0f} s, {mib:.0f} MiB; opened in {times[1]:.1f} s")
    print(f"{QUERIES:,} queries: {ours:.2f} s (goal {GOAL_SECONDS:.0f}); exact, numpy: {theirs:.2f} s")
    print(f"{theirs / ours:.1f} times as fast; recall@{NEAREST} {recall:.3f} (goal {GOAL_RECALL})")
    sys.exit(ours > GOAL_SECONDS or recall < GOAL_RECALL)


if __name__ == "__main__":
    main()
