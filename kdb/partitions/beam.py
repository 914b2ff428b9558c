"""Beam search for the most probable partitions of a session that is too large to list them all.

The score of a partition is a sum over its blocks, so placing one more item changes the score of one block. Items
are placed one after another; the best BEAM_WIDTH partial partitions are kept. Work and memory grow with the
square of the items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kdb.partitions.enumeration import STRUCTURE, Floats, Labels, size_scale

BEAM_WIDTH = 4140
"""So many partial partitions are kept: as many as 8 items have."""

Scores = NDArray[np.float64]


def search(pairs: Floats, weights: Scores, width: int = BEAM_WIDTH) -> tuple[Labels, Scores]:
    """The `width` best partitions found for (n, n, k) pair features, best first: labels (P, n) and scores (P,)."""
    items, _, k = pairs.shape
    share, together = pairs @ weights[:k], pairs @ weights[k : 2 * k]
    structure = weights[2 * k : 2 * k + len(STRUCTURE)] + size_scale(items) * weights[2 * k + len(STRUCTURE) :]
    pair, bundle, single, whole = structure.tolist()

    labels = np.zeros((1, items), dtype=np.uint8)
    scores = np.full(1, single)
    sizes, shares = np.zeros((1, items)), np.zeros((1, items))  # of each block: its items, and its sum of `share`
    sizes[0, 0] = 1
    for item in range(1, items):
        rows = np.arange(len(labels))[:, None]
        block = labels[:, :item].astype(np.intp)
        joined = np.zeros((2, len(labels), item + 1))
        for n, values in enumerate((share, together)):
            np.add.at(joined[n], (rows, block), values[item, :item][None])
        size, held = sizes[:, : item + 1], shares[:, : item + 1]
        grown = held + joined[0]
        # A block of one item becomes a bundle and is no single item any more.
        change = joined[1] + pair * size + np.where(size == 1, bundle - single, 0)
        change += grown / np.maximum(size, 1) - held / np.maximum(size - 1, 1)
        count = labels[:, :item].max(1).astype(np.intp) + 1
        change[rows[:, 0], count] = single
        change[np.arange(item + 1) > count[:, None]] = -np.inf
        if item == items - 1:
            change[(size == items - 1)] += whole
        total = (scores[:, None] + change).ravel()
        best = np.flatnonzero(total > -np.inf)
        if len(best) > width:
            total[0] += max(whole, 0)  # all in one block: what that is worth shows only at the end
            best = np.sort(best[np.argpartition(-total[best], width)[:width]])
            total[0] -= max(whole, 0)
        parent, chosen = np.divmod(best, item + 1)
        scores = total[best]
        labels, sizes, shares = labels[parent], sizes[parent], shares[parent]
        own = np.arange(len(best))
        labels[:, item] = chosen
        sizes[own, chosen] += 1
        shares[own, chosen] = grown[parent, chosen]
    order = np.argsort(-scores, kind="stable")
    return labels[order], scores[order]
