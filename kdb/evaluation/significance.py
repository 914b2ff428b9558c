"""Is one run better than another on the same sessions? Paired tests, corrected within their family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kdb.evaluation import PROTOCOLS, definitions
from kdb.evaluation.bootstrap import products
from kdb.evaluation.families import Family
from kdb.evaluation.matched_session import DIGITS
from kdb.evaluation.metrics.definition import Count
from kdb.evaluation.score_table import MetricDefinitions, RunScores, intervals, metric_values, named
from kdb.records import Comparison

PERMUTATIONS = 10_000
PER_PAIR = 100
"""So many permutations for each comparison of a family, where that is more: no p-value is below the inverse of
their number, and Holm's correction multiplies it by that of the comparisons.
"""
EARLY_STOP = 20
"""A test that so many permutations have reached in each metric needs no finer p-value."""
_UNITS = 5_000
"""Beyond so many sessions they are swapped in random groups: fewer swaps are possible, each is as valid."""
_BLOCK = 500


def compare(domain: str, family: Family, seed: int) -> Iterator[Comparison]:
    """The comparisons of a family under each protocol; the p-values of one metric are corrected together."""
    most = max(PERMUTATIONS, PER_PAIR * len(family.tested))
    for protocol in PROTOCOLS:
        metrics = {name: metric for name, metric in definitions(protocol).items() if metric.tested}
        tests = [permutation_test(a.table, b.table, metrics, a.columns, seed, most) for a, b in family.tested]
        values = [{n: p for n, p in named(test, metrics).items() if p is not None} for test, _ in tests]
        corrected = {name: holm({n: p[name] for n, p in enumerate(values) if name in p}) for name in metrics}
        for n, ((a, b), p, (_, floor)) in enumerate(zip(family.tested, values, tests, strict=True)):
            p_holm = {name: round(corrected[name][n], DIGITS) for name in p}
            yield _comparison(domain, family.name, protocol, metrics, a, b, p, p_holm, round(floor, DIGITS))
        for a, b in family.described:
            yield _comparison(domain, family.name, protocol, metrics, a, b, {}, {}, 0.0)


def _comparison(
    domain: str,
    family: str,
    protocol: str,
    metrics: MetricDefinitions,
    run: RunScores,
    reference: RunScores,
    p: dict[str, float],
    p_holm: dict[str, float],
    floor: float,
) -> Comparison:
    def difference(of_run: np.ndarray, of_reference: np.ndarray) -> np.ndarray:
        own = metric_values(of_run, metrics, run.columns)
        return own - metric_values(of_reference, metrics, reference.columns)

    return Comparison(
        runs=(run.id, reference.id),
        domain=domain,
        protocol=protocol,
        sessions=len(run.table),
        differences=named(difference(run.whole.sums, reference.whole.sums), metrics),
        intervals=intervals(difference(run.whole.samples, reference.whole.samples), metrics),
        p=p,
        p_holm=p_holm,
        family=family,
        reference=reference.id,
        p_floor=floor,
    )


def permutation_test(
    first: np.ndarray,
    second: np.ndarray,
    metrics: MetricDefinitions,
    columns: Sequence[Count],
    seed: int,
    most: int = PERMUTATIONS,
) -> tuple[np.ndarray, float]:
    """Two-sided p-values of the differences between two runs with rows for the same sessions, and their floor.

    Were the runs equally good, each session's two rows could as well be swapped: p is the share of random
    swaps that give a difference at least as large, the swap as observed among them (Phipson and Smyth 2010);
    the floor is that share where none does. From `PERMUTATIONS` swaps up to `most` are drawn as long as a p-value
    rests on few of them (as Besag and Clifford 1991 stop).
    """
    random = np.random.default_rng(seed)
    gain = _grouped(second - first, random)
    sums, other = first.sum(axis=0), second.sum(axis=0)
    observed = np.abs(metric_values(sums, metrics, columns) - metric_values(other, metrics, columns))
    changes = np.ascontiguousarray(gain.T)
    reached = np.zeros(len(metrics))
    drawn = 0
    while drawn < min(PERMUTATIONS, most) or (drawn < most and (reached < EARLY_STOP).any()):
        size = min(_BLOCK, most - drawn)
        drawn += size
        swaps = random.integers(0, 2, size=(size, len(gain)), dtype=np.uint8).astype(float)
        moved = products(swaps, changes)
        differences = metric_values(sums + moved, metrics, columns) - metric_values(other - moved, metrics, columns)
        # The tolerance keeps sums that differ only in their rounding from counting as smaller; what is
        # undefined after a swap counts as reached, which can only make p larger.
        reached += (~(np.abs(differences) < observed - 1e-12)).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, (1 + reached) / (1 + drawn)), 1 / (1 + drawn)


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
