"""Set partitions of a session's items, the bundlings that a score rule chooses among, and what describes them.

A partition is a row of labels, one an item, in restricted growth form: the first item has label 0, and every
label is at most one above all labels before it. Blocks of one item are items in no bundle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Floats = NDArray[np.float32]

STRUCTURE = ("pairs", "bundles", "single items", "whole session")


def extend(labels: Labels) -> Labels:
    """All partitions of one more item that agree with one of these (P, m) on the items before: (P', m + 1)."""
    choices = labels.max(1, initial=0).astype(int) + 2 if labels.shape[1] else np.ones(1, dtype=int)
    before = labels[np.repeat(np.arange(len(labels)), choices)]
    last = np.concatenate([np.arange(count, dtype=np.uint8) for count in choices])
    return np.column_stack([before, last]).astype(np.uint8)


def all_partitions(items: int) -> Labels:
    """Every partition of so many items: (Bell number, items)."""
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


def features(labels: Labels, evidence: Floats) -> Floats:
    """What describes each of P partitions of n items, given (n, n, k) evidence on pairs: (P, 2 k + 8).

    For each kind of evidence its sum over the pairs that share a block, and the same with each pair weighted
    by 1 / (size of the block - 1), so that an item counts once; then STRUCTURE, and STRUCTURE times the
    number of items (centred and scaled).
    """
    count, items = labels.shape
    i, j = np.triu_indices(items, 1)
    together = labels[:, i] == labels[:, j]
    sizes = np.stack([(labels == label).sum(1) for label in range(items)], 1)
    share = np.where(sizes > 1, 1 / np.maximum(1, sizes - 1), 0).astype(np.float32)
    weight = np.take_along_axis(share, labels[:, i].astype(int), 1) * together
    structure = np.stack(
        [together.sum(1), (sizes > 1).sum(1), (sizes == 1).sum(1), sizes[:, 0] == items], 1
    ).astype(np.float32)
    pairs = evidence[i, j].astype(np.float32)
    columns = [weight @ pairs, together.astype(np.float32) @ pairs, structure, structure * ((items - 6) / 4)]
    return np.concatenate(columns, 1).reshape(count, -1)


def to_masks(labels: Labels) -> tuple[int, ...]:
    """The blocks of two or more items of one partition (n,), each as a bit mask, ascending."""
    masks: dict[int, int] = {}
    for i, label in enumerate(labels.tolist()):
        masks[label] = masks.get(label, 0) | 1 << i
    return tuple(sorted(mask for mask in masks.values() if mask & (mask - 1)))
