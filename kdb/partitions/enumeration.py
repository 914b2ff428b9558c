"""Set partitions of a session's items: what a session's bundles may be, and what describes them.

A partition is a row of labels, one an item, in restricted growth form: the first item has label 0, and every
label is at most one above all labels before it. Blocks of one item are items in no bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Floats = NDArray[np.float32]

STRUCTURE = ("pairs", "bundles", "single items", "whole session")

MAX_EXACT_ITEMS = 8
"""All partitions are listed for sessions of up to so many items: 4140, the Bell number of 8."""


def extend(labels: Labels) -> Labels:
    """All partitions of one more item that agree with one of these (P, m) on the items before: (P', m + 1)."""
    choices = labels.max(1, initial=0).astype(int) + 2 if labels.shape[1] else np.ones(1, dtype=int)
    before = labels[np.repeat(np.arange(len(labels)), choices)]
    last = np.concatenate([np.arange(count, dtype=np.uint8) for count in choices])
    return np.column_stack([before, last]).astype(np.uint8)


def all_partitions(items: int) -> Labels:
    """Every partition of `items` items: (Bell number, items). ValueError above MAX_EXACT_ITEMS."""
    if items > MAX_EXACT_ITEMS:
        raise ValueError(f"{items} items have too many partitions to list")
    labels = np.zeros((1, 0), dtype=np.uint8)
    for _ in range(items):
        labels = extend(labels)
    return labels


def from_bundles(items: int, groups: Sequence[Sequence[int]]) -> Labels:
    """The partition (items,) that states these groups; where they overlap the larger keeps what they share."""
    block = [-1] * items
    for n, group in enumerate(sorted(groups, key=lambda g: (-len(g), list(g)))):
        free = [i for i in group if block[i] < 0]
        if len(free) > 1:
            for i in free:
                block[i] = n
    block = [own if own >= 0 else len(groups) + i for i, own in enumerate(block)]
    names: dict[int, int] = {}
    return np.array([names.setdefault(own, len(names)) for own in block], dtype=np.uint8)


def to_masks(labels: Labels) -> tuple[int, ...]:
    """The blocks of two or more items of one partition (n,), each as a bit mask, ascending."""
    masks: dict[int, int] = {}
    for i, label in enumerate(labels.tolist()):
        masks[label] = masks.get(label, 0) | 1 << i
    return tuple(sorted(mask for mask in masks.values() if mask & (mask - 1)))


@dataclass(frozen=True)
class Design:
    """What P partitions of n items have in common whatever the items are; m = n (n - 1) / 2 pairs.

    `share` (P, m): 1 / (size of the block - 1) for a pair within a block, so that an item counts once; else 0.
    `together` (P, m): 1 for a pair within a block. `structure` (P, 8): STRUCTURE, and STRUCTURE times the number
    of items (centred and scaled).
    """

    share: Floats
    together: Floats
    structure: Floats

    def features(self, pairs: Floats) -> Floats:
        """The features (P, 2 k + 8) for pair features (m, k): their sums by `share`, by `together`, structure."""
        return np.concatenate([self.share @ pairs, self.together @ pairs, self.structure], 1)


def design(labels: Labels) -> Design:
    """The design of these partitions (P, n)."""
    items = labels.shape[1]
    i, j = np.triu_indices(items, 1)
    together = labels[:, i] == labels[:, j]
    sizes = np.stack([(labels == label).sum(1) for label in range(items)], 1)
    inverse = np.where(sizes > 1, 1 / np.maximum(1, sizes - 1), 0).astype(np.float32)
    share = np.take_along_axis(inverse, labels[:, i].astype(int), 1) * together
    structure = np.stack([together.sum(1), (sizes > 1).sum(1), (sizes == 1).sum(1), sizes[:, 0] == items], 1)
    both = np.concatenate([structure, structure * size_scale(items)], 1)
    return Design(share, together.astype(np.float32), both.astype(np.float32))


@lru_cache(maxsize=MAX_EXACT_ITEMS + 1)
def full_design(items: int) -> tuple[Labels, Design]:
    """All partitions of `items` items and their design."""
    labels = all_partitions(items)
    return labels, design(labels)


def size_scale(items: int) -> float:
    """The number of items, centred and scaled: what the second half of the structure is multiplied by."""
    return (items - 6) / 4


def upper(pairs: Floats) -> Floats:
    """Of (n, n, k) pair features those of each pair once: (n (n - 1) / 2, k)."""
    return pairs[np.triu_indices(len(pairs), 1)].astype(np.float32)
