"""How long a diverse tenth of a large knowledge base takes, end to end, once its embeddings exist.

    python tests/bench/diversity.py [RECORDS]

The embeddings are drawn at random around a few thousand centres and put into a cache of their own, where
`kdb select` finds them. The goal is 200,000 records of 384 dimensions in under 60 s on two cores and 2 GB.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rows import Row, conclude

GOAL_SECONDS, GOAL_MIB = 60, 2000
COMMAND = ["select", "--of", "knowledge", "--strategy", "diversity", "--amount", "0.1"]


def synthetic(count: int, width: int = 384) -> np.ndarray:
    """Unit rows in clusters of about a hundred."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(max(1, count // 100), width)).astype(np.float32)
    vectors = centres[rng.integers(len(centres), size=count)]
    for start in range(0, count, 10_000):
        part = vectors[start : start + 10_000]
        part += 0.7 * rng.normal(size=part.shape).astype(np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


def prepare(file: Path, count: int) -> None:
    """Write `count` records to the file, and their embeddings to the cache."""
    from kdb.io.stream import write
    from kdb.records import Knowledge
    from kdb.retrieval.sentence_embedder import SentenceEmbedder

    texts = [f"Bundles with product {n} also hold product {n * 7 % count}." for n in range(count)]
    records = (Knowledge(id=str(n), format="rule", domain="bench", text=t) for n, t in enumerate(texts))
    with file.open("wb") as out:
        write(records, out)

    class Synthetic(SentenceEmbedder):
        """Gives the rows of `synthetic` in turn."""

        rows = iter(synthetic(count))

        def _compute(self, texts: list[str]) -> np.ndarray:
            return np.stack([next(self.rows) for _ in texts])

    Synthetic().encode(texts)


def measured(argv: list[str]) -> tuple[float, float, int]:
    """Seconds, peak memory in MiB and lines out of a `kdb` command."""
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "kdb", *argv], stdout=subprocess.PIPE) as process:
        assert process.stdout
        lines = sum(1 for _ in process.stdout)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("the command failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1024, lines


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KDB_CACHE"] = folder
        file = Path(folder) / "knowledge.jsonl"
        prepare(file, count)
        seconds, mib, taken = measured([*COMMAND, str(file)])
    what = f"{taken:,} diverse ones of {count:,} records"
    conclude(
        Row(what, f"{GOAL_SECONDS} s", GOAL_SECONDS / seconds, 1, {"s": seconds}),
        Row(f"memory for {what}", f"{GOAL_MIB} MiB", GOAL_MIB / mib, 1, {"MiB": mib}),
    )


if __name__ == "__main__":
    main()
