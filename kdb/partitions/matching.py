"""Matched Jaccard F1 between many predictions and many partitions at once.

The value of an assignment of predicted to true bundles is bounded by matching each bundle with its own best
partner. Where these partners differ, the bound is the value; elsewhere the Hungarian method finds it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BundleMasks = tuple[int, ...]
Floats = NDArray[np.float64]


class MatchedF1:
    """Matched F1 of options (predictions, P) against partitions (Q); all of them have a bundle."""

    def __init__(self, options: Sequence[BundleMasks], partitions: Sequence[BundleMasks]) -> None:
        mine = {mask: n for n, mask in enumerate(dict.fromkeys(m for own in options for m in own))}
        true = {mask: n for n, mask in enumerate(dict.fromkeys(m for own in partitions for m in own))}
        a, b = np.array(list(mine), np.uint64)[:, None], np.array(list(true), np.uint64)[None]
        self._jaccard = np.bitwise_count(a & b) / np.bitwise_count(a | b)
        self._options = [np.array([mine[mask] for mask in own], np.intp) for own in options]
        self._partitions = [np.array([true[mask] for mask in own], np.intp) for own in partitions]
        self._sizes = np.array([len(own) for own in partitions])

    def upper_bounds(self) -> Floats:
        """A bound of each option's matched F1 with each partition: (P, Q)."""
        rows, row_starts = _joined(self._options)
        columns, column_starts = _joined(self._partitions)
        best_true = np.maximum.reduceat(self._jaccard[:, columns], column_starts, axis=1)[rows]
        by_row = np.add.reduceat(best_true, row_starts, axis=0)
        best_mine = np.maximum.reduceat(self._jaccard[rows], row_starts, axis=0)[:, columns]
        by_column = np.add.reduceat(best_mine, column_starts, axis=1)
        counts = np.array([len(own) for own in self._options])
        return 2 * np.minimum(by_row, by_column) / (counts[:, None] + self._sizes)

    def exact(self, option: int) -> Floats:
        """The matched F1 of one option with each partition: (Q,)."""
        from scipy.optimize import linear_sum_assignment

        own = self._jaccard[self._options[option]]
        best = np.zeros(len(self._partitions))
        for n, columns in enumerate(self._partitions):
            jaccard = own[:, columns]
            if 1 in jaccard.shape:
                best[n] = jaccard.max()
            else:
                best[n] = jaccard[linear_sum_assignment(jaccard, maximize=True)].sum()
        return 2 * best / (len(own) + self._sizes)


def _joined(lists: Sequence[NDArray[np.intp]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All lists as one, and where each begins."""
    return np.concatenate(lists), np.cumsum([0, *map(len, lists)])[:-1]
