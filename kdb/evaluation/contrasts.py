"""Differences between runs and their references, with p values corrected within a stated family only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kdb.evaluation.significance import holm
from kdb.records import Comparison

ALPHA = 0.05
OLD_PERMUTATIONS, OLD_PERMUTATIONS_EACH = 10_000, 100
"""How many permutations records without `p_floor` rest on: at least so many, or so many for each pair of runs."""
_ROUNDING = 1e-6
"""The p values of records are rounded to so much."""

Pair = tuple[str, str]


@dataclass(frozen=True)
class Contrast:
    """A run minus its reference on the same sessions; `p` is corrected within the family.

    `at_floor`: no permutation reached the difference, so that p is only a bound.
    """

    run: str
    reference: str
    difference: float
    interval: tuple[float, float] | None
    p: float | None
    at_floor: bool = False

    @property
    def is_significant(self) -> bool:
        """Whether the corrected test says that the two differ, and the interval does not contradict it."""
        excludes_zero = self.interval is None or self.interval[0] > 0 or self.interval[1] < 0
        return self.p is not None and self.p < ALPHA and excludes_zero


def family(
    name: str, pairs: Sequence[Pair], comparisons: Sequence[Comparison], metric: str
) -> Mapping[Pair, Contrast]:
    """The contrasts of these pairs of run and reference, as far as the comparisons hold them.

    Comparisons that state their family are corrected within it already. Older ones are corrected here, over
    `pairs`, from what was not corrected in them.
    """
    if any(one.family for one in comparisons):
        stated = {one.runs: one for one in comparisons if one.family == name}
        return {
            pair: _contrast(pair, stated[pair], metric, stated[pair].p_holm.get(metric), stated[pair].p_floor)
            for pair in dict.fromkeys(pairs)
            if pair in stated and stated[pair].differences.get(metric) is not None
        }
    by_runs = {one.runs: one for one in comparisons}
    floor = 1 / (1 + max(OLD_PERMUTATIONS, OLD_PERMUTATIONS_EACH * len(comparisons)))
    found = {}
    for run, reference in dict.fromkeys(pairs):
        record = by_runs.get((run, reference)) or by_runs.get((reference, run))
        if record and record.differences.get(metric) is not None:
            found[run, reference] = _contrast((run, reference), record, metric, record.p.get(metric), floor)
    tested = {n: one.p for n, one in enumerate(found.values()) if one.p is not None}
    corrected = holm(tested)
    return {pair: replace(one, p=corrected.get(n)) for n, (pair, one) in enumerate(found.items())}


def references(name: str, comparisons: Iterable[Comparison]) -> dict[str, str]:
    """What each run was compared with in a stated family."""
    return {one.runs[0]: one.runs[1] for one in comparisons if one.family == name}


def _contrast(pair: Pair, record: Comparison, metric: str, p: float | None, floor: float) -> Contrast:
    sign = 1 if record.runs == pair else -1
    bounds = sorted(sign * bound for bound in record.intervals.get(metric, ()))
    raw = record.p.get(metric)
    return Contrast(
        run=pair[0],
        reference=pair[1],
        difference=sign * (record.differences[metric] or 0.0),
        interval=(bounds[0], bounds[1]) if bounds else None,
        p=p,
        at_floor=raw is not None and raw <= floor + _ROUNDING,
    )
