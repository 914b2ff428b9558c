"""How fast `kdb eval` streams predictions, and how long the bootstrap of many sessions takes.

    python tests/bench/eval.py [PREDICTIONS]

The goals on two cores: a million predictions in under 120 s and 1 GB, with everything that a metric record
holds; 100,000 sessions resampled 2,000 times in under 30 s; 180 predictions in under 1 s. All of it runs in one
thread, so processor time is what an idle machine takes, and what is judged.
"""

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rows import Row, conclude

from kdb.evaluation.bootstrap import resampled_sums
from kdb.evaluation.score_table import columns
from kdb.io.stream import write
from kdb.records import Bundle, Prediction

GOAL_SECONDS, GOAL_MIB, GOAL_BOOTSTRAP, GOAL_SMALL = 120, 1000, 30, 1


def predictions(count: int):
    """Predictions of two to ten items, with up to three bundles predicted and up to two true."""
    rng = random.Random(0)
    for n in range(count):
        items = [f"item-{rng.randrange(10**6)}-{k}" for k in range(rng.randint(2, 10))]
        predicted, true = (
            [
                Bundle(rng.sample(items, rng.randint(2, len(items))), "an intent")
                for _ in range(rng.randint(1, most))
            ]
            for most in (3, 2)
        )
        yield Prediction(
            id=str(n), domain="bench", items=items, bundles=predicted, status="ok", run="bench", truth=true
        )


def evaluated(folder: Path, count: int) -> tuple[float, float, int]:
    """Seconds, processor seconds and peak memory in MiB of `kdb eval`."""
    path = folder / f"{count}.jsonl"
    with path.open("wb") as file:
        write(predictions(count), file)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "kdb", "eval", path], check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, after.ru_maxrss // 1024


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        _, small, _ = evaluated(Path(folder), 180)
        seconds, cpu, mib = evaluated(Path(folder), count)
    rows = np.random.default_rng(0).random((100_000, len(columns())))
    wall, started = time.perf_counter(), time.process_time()
    resampled_sums(rows, seed=0)
    bootstrap = time.process_time() - started
    wall = time.perf_counter() - wall
    what = f"kdb eval of {count:,} predictions"
    conclude(
        Row("kdb eval of 180 predictions", f"{GOAL_SMALL} s", GOAL_SMALL / small, 1, {"s": small}),
        Row(what, f"{GOAL_SECONDS} s", GOAL_SECONDS / cpu, 1, {"cpu_s": cpu, "s": seconds}),
        Row(f"memory for {what}", f"{GOAL_MIB} MiB", GOAL_MIB / mib, 1, {"MiB": mib}),
        Row(
            f"bootstrap of {len(rows):,} sessions",
            f"{GOAL_BOOTSTRAP} s",
            GOAL_BOOTSTRAP / bootstrap,
            1,
            {"cpu_s": bootstrap, "s": wall},
        ),
    )


if __name__ == "__main__":
    main()
