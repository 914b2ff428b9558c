"""Bootstrap over sessions: how much a number would move had other sessions been drawn.

Every metric is a ratio of two sums over sessions, so a resample needs nothing but its sums. The same seed and
number of sessions give the same resamples: two runs on the same sessions are compared by pairing them.
"""

from __future__ import annotations

import numpy as np

RESAMPLES = 2000
LARGEST = 100_000
"""Beyond so many sessions, groups of sessions are resampled in place of single ones."""

_CELLS = 250_000
"""Counts held at a time, for flat memory."""


def resampled_sums(rows: np.ndarray, seed: int) -> np.ndarray:
    """The column sums of RESAMPLES draws with replacement of as many rows: (RESAMPLES, columns).

    `rows` has one row a session. Beyond `LARGEST` rows, equal groups of randomly chosen rows are drawn, which
    leaves the variance of a sum as it is in expectation at a bounded cost; the few rows that fill no group
    are left out and the sums scaled up.
    """
    random = np.random.default_rng(seed)
    units, scale = _units(rows, random)
    used = np.flatnonzero(units.any(axis=0))  # not ratings that nobody gave, for example
    columns = np.ascontiguousarray(units.T[used])
    block = max(1, _CELLS // len(units))
    sizes = [min(block, RESAMPLES - start) for start in range(0, RESAMPLES, block)]
    sums = np.zeros((RESAMPLES, units.shape[1]))
    sums[:, used] = np.concatenate([products(_counts(random, n, len(units)), columns) for n in sizes])
    return scale * sums


def products(weights: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The weighted sums of each column: (w, n) and (c, n) to (w, c).

    Not by BLAS, whose last bits depend on the number of threads and which crawls on a busy machine.
    """
    return np.einsum("wn,cn->wc", weights, columns)


def _units(rows: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, float]:
    """What is drawn (rows, or sums of groups of rows), and the factor for the rows left over."""
    if len(rows) <= LARGEST:
        return rows, 1.0
    group = -(-len(rows) // LARGEST)
    kept = len(rows) - len(rows) % group
    order = random.permutation(len(rows))[:kept]
    # Column by column, because a shuffled copy of all would double the memory.
    sums = [column[order].reshape(-1, group).sum(axis=1) for column in rows.T]
    return np.stack(sums, axis=1), len(rows) / kept


def _counts(random: np.random.Generator, resamples: int, size: int) -> np.ndarray:
    """How often each of `size` units is drawn in each resample."""
    drawn = random.integers(0, size, size=(resamples, size), dtype=np.uint32).astype(np.intp)
    drawn += np.arange(resamples)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size).astype(float)


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float] | None:
    """The percentile interval of the resampled values; None where fewer than half of them are defined."""
    defined = values[~np.isnan(values)]
    if 2 * len(defined) < len(values) or not len(defined):
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def ratios(sums: np.ndarray, numerators: list[int], denominators: list[int]) -> np.ndarray:
    """Ratios of columns of `sums` (..., columns), one for each pair of columns; NaN where undefined."""
    over = sums[..., denominators]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(over > 0, sums[..., numerators] / over, np.nan)
