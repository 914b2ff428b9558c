"""Is one run better than another on the same sessions? Paired tests, corrected for their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from kdb.evaluation.bootstrap import products
from kdb.evaluation.metrics import RELEASED, STRICT
from kdb.evaluation.score_table import DIGITS, MetricDefinitions, RunScores, intervals, metric_values, named
from kdb.records import Comparison

TESTED: dict[str, MetricDefinitions] = {
    "strict": {
        name: STRICT[name] for name in ("precision", "recall", "coverage", "matched_f1", "exact", "pair_f1")
    },
    "released": RELEASED,
}
PERMUTATIONS = 10_000
PER_PAIR = 100
"""So many permutations for each pair of runs, where that is more: no p-value is below the inverse of their
number, and Holm's correction multiplies it by that of the pairs. In a large grid nothing could be significant.
"""
EARLY_STOP = 20
"""A test that so many permutations have reached in each metric needs no finer p-value."""
_UNITS = 5_000
"""Beyond so many sessions they are swapped in random groups: fewer swaps are possible, each is as valid."""
_BLOCK = 500


def compare(domain: str, runs: Sequence[RunScores], seed: int) -> Iterator[Comparison]:
    """Every pair of runs under each protocol; for each metric the p-values of all pairs are one family."""
    pairs = list(combinations(runs, 2))
    most = max(PERMUTATIONS, PER_PAIR * len(pairs))
    for protocol, metrics in TESTED.items():
        tests = [named(permutation_test(a.table, b.table, metrics, seed, most), metrics) for a, b in pairs]
        defined = [{name: p for name, p in test.items() if p is not None} for test in tests]
        corrected = {name: holm({n: p[name] for n, p in enumerate(defined) if name in p}) for name in metrics}
        for n, ((a, b), p) in enumerate(zip(pairs, defined, strict=True)):
            samples = metric_values(a.whole.samples, metrics) - metric_values(b.whole.samples, metrics)
            gain = metric_values(a.whole.sums, metrics) - metric_values(b.whole.sums, metrics)
            yield Comparison(
                runs=(a.id, b.id),
                domain=domain,
                protocol=protocol,
                sessions=len(a.table),
                differences=named(gain, metrics),
                intervals=intervals(samples, metrics),
                p=p,
                p_holm={name: round(corrected[name][n], DIGITS) for name in p},
            )


def permutation_test(
    first: np.ndarray, second: np.ndarray, metrics: MetricDefinitions, seed: int, most: int = PERMUTATIONS
) -> np.ndarray:
    """Two-sided p-values of the differences between two runs, given their rows for the same sessions.

    Were the runs equally good, each session's two rows could as well be swapped: p is the share of random
    swaps that give a difference at least as large, the swap as observed among them (Phipson and Smyth 2010).
    From `PERMUTATIONS` swaps up to `most` are drawn as long as a p-value rests on few of them (as Besag and
    Clifford 1991 stop).
    """
    random = np.random.default_rng(seed)
    gain = _grouped(second - first, random)
    sums, other = first.sum(axis=0), second.sum(axis=0)
    observed = np.abs(metric_values(sums, metrics) - metric_values(other, metrics))
    columns = np.ascontiguousarray(gain.T)
    reached = np.zeros(len(metrics))
    drawn = 0
    while drawn < min(PERMUTATIONS, most) or (drawn < most and (reached < EARLY_STOP).any()):
        size = min(_BLOCK, most - drawn)
        drawn += size
        swaps = random.integers(0, 2, size=(size, len(gain)), dtype=np.uint8).astype(float)
        moved = products(swaps, columns)
        differences = metric_values(sums + moved, metrics) - metric_values(other - moved, metrics)
        # The tolerance keeps sums that differ only in their rounding from counting as smaller; what is
        # undefined after a swap counts as reached, which can only make p larger.
        reached += (~(np.abs(differences) < observed - 1e-12)).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, (1 + reached) / (1 + drawn))


def _grouped(rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The rows, or from `_UNITS` on the sums of so many random groups of them."""
    if len(rows) <= _UNITS:
        return rows
    order = random.permutation(len(rows))
    return np.add.reduceat(rows[order], np.linspace(0, len(rows), _UNITS, endpoint=False, dtype=np.intp))


def holm(p_values: Mapping[int, float]) -> dict[int, float]:
    """The p-values of one family of tests, adjusted by Holm's step-down procedure (Holm 1979)."""
    adjusted: dict[int, float] = {}
    largest = 0.0
    for rank, (test, p) in enumerate(sorted(p_values.items(), key=lambda entry: entry[1])):
        largest = max(largest, min(1.0, p * (len(p_values) - rank)))
        adjusted[test] = largest
    return adjusted
