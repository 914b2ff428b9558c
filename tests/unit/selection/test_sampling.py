"""What each sampling strategy promises, on numbers and vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.selection import orderings

VALUES = st.lists(st.none() | st.integers(0, 20).map(float), max_size=60)
SEEDS = st.integers(0, 2**32)


def rows(count: int, seed: int, width: int = 16) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def radius(vectors: np.ndarray, chosen: list[int]) -> float:
    """The largest distance from any row to the nearest chosen one."""
    apart = np.sqrt(np.maximum(0, 2 - 2 * vectors @ vectors[chosen].T))
    return float(apart.min(axis=1).max())


@given(st.integers(0, 200), SEEDS)
def test_a_random_order_is_a_permutation_that_the_seed_decides(count, seed) -> None:
    order = orderings.shuffled(count, seed)
    assert sorted(order) == list(range(count))
    assert order == orderings.shuffled(count, seed)
    if count > 20:
        assert order != orderings.shuffled(count, seed + 1)


@given(VALUES, SEEDS, st.sampled_from(["low", "high", "spread"]))
def test_an_order_by_value_holds_everything_once_and_the_unknown_last(values, seed, prefer) -> None:
    order = orderings.by_value(values, prefer, seed)
    assert sorted(order) == list(range(len(values)))
    assert order == orderings.by_value(values, prefer, seed)
    known = [values[i] is not None for i in order]
    assert known == sorted(known, reverse=True)


@given(VALUES, SEEDS)
def test_the_lowest_and_the_highest_come_first(values, seed) -> None:
    low = [v for i in orderings.by_value(values, "low", seed) if (v := values[i]) is not None]
    high = [v for i in orderings.by_value(values, "high", seed) if (v := values[i]) is not None]
    assert low == sorted(low)
    assert high == sorted(high, reverse=True)


def test_the_seed_decides_between_equal_values() -> None:
    assert orderings.by_value([1.0] * 30, "low", 1) != orderings.by_value([1.0] * 30, "low", 2)


def test_spread_takes_rare_values_as_often_as_common_ones() -> None:
    values = [2.0] * 500 + [5.0] * 60 + [7.0] * 25 + [10.0] * 15
    order = orderings.by_value(values, "spread", 0)
    for count in (4, 20, 40, 60):
        taken = [values[i] for i in order[:count]]
        assert all(taken.count(v) == count / 4 for v in (2.0, 5.0, 7.0, 10.0))
    plain = [values[i] for i in orderings.shuffled(len(values), 0)[:60]]
    assert plain.count(2.0) > 40


@pytest.mark.parametrize("block", [16, 50, 2048])
def test_farthest_first_is_a_permutation_that_repeats(block) -> None:
    vectors = rows(150, 3)
    order = orderings.farthest_first(vectors, 7, block)
    assert sorted(order) == list(range(150))
    assert order == orderings.farthest_first(vectors, 7, block)
    assert order != orderings.farthest_first(vectors, 8, block)


def test_farthest_first_is_the_greedy_k_centre_order() -> None:
    vectors = rows(80, 5)
    order = orderings.farthest_first(vectors, 0)
    for k in range(1, 80):
        nearest = (vectors @ vectors[order[:k]].T).max(axis=1)
        assert nearest[order[k]] == pytest.approx(nearest.min(), abs=1e-4)


@pytest.mark.parametrize("block", [64, 2048])
def test_diverse_samples_cover_what_random_ones_leave_out(block) -> None:
    centres = rows(12, 1)
    sizes = [400, *[20] * 11]
    own = np.repeat(np.arange(12), sizes)
    vectors = centres[own] + 0.02 * rows(len(own), 2)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = orderings.farthest_first(vectors, 0, block)
    random = orderings.shuffled(len(own), 0)
    assert set(own[order[:12]]) == set(range(12))
    for count in (12, 30, 60):
        assert radius(vectors, order[:count]) < radius(vectors, random[:count])


def test_blocks_cover_less_than_the_exact_order_and_more_than_chance() -> None:
    vectors = rows(2000, 4, width=6)
    exact, blocks = (orderings.farthest_first(vectors, 0, block) for block in (2048, 200))
    random = orderings.shuffled(2000, 0)
    assert exact[: orderings.HEAD] == blocks[: orderings.HEAD]
    for count in (300, 600):
        best, cut, drawn = (radius(vectors, order[:count]) for order in (exact, blocks, random))
        assert best < cut < 0.95 * drawn


def test_many_equal_rows_cost_no_more_than_others() -> None:
    vectors = np.concatenate([np.repeat(rows(1, 1), 3000, axis=0), rows(30, 2)])
    order = orderings.farthest_first(vectors, 0, 100)
    assert sorted(order) == list(range(3030))
    assert set(order[:31]) >= set(range(3000, 3030))


def test_equal_rows_come_after_all_distinct_ones() -> None:
    vectors = np.concatenate([rows(10, 6)] * 3)
    order = orderings.farthest_first(vectors, 0)
    assert {i % 10 for i in order[:10]} == set(range(10))


def test_one_row_and_none() -> None:
    assert orderings.farthest_first(rows(1, 0), 0) == [0]
    assert orderings.farthest_first(np.zeros((0, 0), dtype=np.float32), 0) == []


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 300), st.integers(0, 300), SEEDS)
def test_a_head_within_a_budget_is_the_longest_and_nested(sizes, one, other, seed) -> None:
    order = orderings.shuffled(len(sizes), seed)
    less, more = (orderings.head(order, sizes, budget) for budget in sorted((one, other)))
    assert sum(sizes[i] for i in less) <= min(one, other)
    assert less == order[: len(less)]
    assert less == more[: len(less)]
    if len(less) < len(order):
        assert sum(sizes[i] for i in order[: len(less) + 1]) > min(one, other)
