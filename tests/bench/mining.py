"""Frequent itemsets of a million transactions, beside mlxtend's FP-growth: the same itemsets at the same support.

    python tests/bench/mining.py [TRANSACTIONS]

Transactions hold 2 to 6 of 500 categories, drawn by falling popularity; itemsets of up to 3 categories are mined
at the default support of `kdb extract pattern` and at a tenth of it. Each way runs in a process of its own, in
turn, and the least of three times counts. Both start from the same tuples, of which mlxtend makes a sparse table.
All of it is one thread, so processor time is what an idle machine takes, and what is judged; the peak of memory
is that of the whole process, with the transactions.
"""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from resource import RUSAGE_SELF, getrusage

import numpy as np
from rows import Row, conclude

GOAL_SPEED, GOAL_MEMORY = 5, 2
SUPPORTS, MOST, ROUNDS = (0.005, 0.0005), 3, 3
BLOCK = 10_000


def transactions(count: int) -> Iterator[tuple[str, ...]]:
    """Some are shorter than drawn, where a category was drawn twice."""
    rng = np.random.default_rng(0)
    names = [f"category {n}" for n in range(500)]
    popularity = np.arange(1, len(names) + 1) ** -0.8
    popularity /= popularity.sum()
    for _ in range(0, count, BLOCK):
        drawn = rng.choice(len(names), (BLOCK, 6), p=popularity)
        for row, size in zip(drawn.tolist(), rng.integers(2, 7, BLOCK).tolist(), strict=True):
            yield tuple(names[n] for n in dict.fromkeys(row[:size]))


def by_kdb(given: list[tuple[str, ...]], fewest: int) -> dict[frozenset[str], int]:
    from kdb.retrieval.itemsets import frequent

    return frequent(given, fewest, MOST)


def by_mlxtend(given: list[tuple[str, ...]], fewest: int) -> dict[frozenset[str], int]:
    import pandas as pd
    from mlxtend.frequent_patterns import fpgrowth
    from mlxtend.preprocessing import TransactionEncoder

    encoder = TransactionEncoder()
    matrix = encoder.fit_transform(given, sparse=True)
    table = pd.DataFrame.sparse.from_spmatrix(matrix, columns=encoder.columns_)
    found = fpgrowth(table, min_support=(fewest - 0.5) / len(given), max_len=MOST, use_colnames=True)
    return {i: round(s * len(given)) for i, s in zip(found["itemsets"], found["support"], strict=True)}


WAYS = {"kdb": by_kdb, "mlxtend": by_mlxtend}


def measure(way: str, count: int, support: float) -> None:
    """In a child process: mine, and print what was found and what it took."""
    given = list(transactions(count))
    WAYS[way](given[:1000], 10)  # imports are not counted
    began, cpu = time.perf_counter(), time.process_time()
    found = WAYS[way](given, round(support * len(given)))
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    digest = hashlib.sha256(repr(sorted((sorted(i), n) for i, n in found.items())).encode()).hexdigest()
    mib = getrusage(RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"itemsets": len(found), "found": digest, "seconds": seconds, "cpu": cpu, "mib": mib}))


def compared(count: int, support: float) -> Iterator[Row]:
    """Speed and memory of the two, at one support."""
    runs: dict[str, list[dict]] = {way: [] for way in WAYS}
    for way in [*WAYS] * ROUNDS:
        child = [sys.executable, __file__, way, str(count), str(support)]
        runs[way].append(json.loads(subprocess.run(child, stdout=subprocess.PIPE, check=True).stdout))
    if len({run["found"] for way in WAYS for run in runs[way]}) > 1:
        raise SystemExit("the two find different itemsets")
    cpu, seconds, mib = (
        {way: min(run[figure] for run in runs[way]) for way in WAYS} for figure in ("cpu", "seconds", "mib")
    )
    what = f"itemsets of {count:,} transactions, support {support}"
    figures = {f"{way}_{label}": value[way] for label, value in (("cpu_s", cpu), ("s", seconds)) for way in WAYS}
    figures["itemsets"] = runs["kdb"][0]["itemsets"]
    yield Row(f"mining {what}", "mlxtend fpgrowth", cpu["mlxtend"] / cpu["kdb"], GOAL_SPEED, figures)
    memory = {f"{way}_MiB": mib[way] for way in WAYS}
    yield Row(f"memory for {what}", "mlxtend fpgrowth", mib["mlxtend"] / mib["kdb"], GOAL_MEMORY, memory)


def main() -> None:
    if len(sys.argv) > 2:
        return measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    conclude(*(row for support in SUPPORTS for row in compared(count, support)))


if __name__ == "__main__":
    main()
