"""Sessions for the tests of partitions."""

import numpy as np


def sets(masks, items):
    """Bundles given as bit masks, as sets of positions."""
    return [{i for i in range(items) if mask >> i & 1} for mask in masks]


def groups_of(names):
    """The positions that share a name, where two or more do."""
    groups = [[i for i in range(len(names)) if names[i] == name] for name in sorted(set(names))]
    return [group for group in groups if len(group) > 1]


def random_pairs(seed, items, features=2):
    """Symmetric pair features (n, n, k)."""
    values = np.random.default_rng(seed).normal(size=(items, items, features)).astype(np.float32)
    return (values + values.transpose(1, 0, 2)) / 2


def twins(pairs, strength=3.0):
    """Pair features (n, n, 1) of a session whose items come in twos: high within, low between."""
    own = np.kron(np.eye(pairs), np.ones((2, 2)))
    return ((2 * own - 1) * strength).astype(np.float32)[:, :, None]
