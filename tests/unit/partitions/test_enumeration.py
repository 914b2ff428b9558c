"""Partitions as rows of labels: all of them once, from bundles and back, and what describes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.partition_cases import groups_of, sets

from kdb.partitions.enumeration import all_partitions, design, from_bundles, to_masks, upper


@pytest.mark.parametrize("items, bell", [(1, 1), (2, 2), (3, 5), (4, 15), (5, 52), (8, 4140)])
def test_every_partition_once(items, bell):
    labels = all_partitions(items)
    assert len(labels) == bell == len({tuple(row) for row in labels.tolist()})


def test_too_many_to_list():
    with pytest.raises(ValueError, match="9 items"):
        all_partitions(9)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=8))
def test_a_partition_states_its_own_bundles(names):
    items = len(names)
    groups = groups_of(names)
    labels = from_bundles(items, groups)
    assert sorted(map(sorted, sets(to_masks(labels), items))) == sorted(groups)
    assert any((row == labels).all() for row in all_partitions(items))


def test_features_by_hand():
    pairs = np.zeros((4, 4, 1), dtype=np.float32)
    pairs[0, 1] = pairs[0, 2] = pairs[1, 2] = 2
    (row,) = design(np.array([[0, 0, 0, 1]], dtype=np.uint8)).features(upper(pairs))
    assert row.tolist() == [3, 6, 3, 1, 1, 0, -1.5, -0.5, -0.5, 0]
