"""The distribution over partitions: fitted to what made the bundles, exact where all are listed, bounded beyond."""

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.partition_cases import groups_of, random_pairs, sets, twins

from kdb.partitions import beam, crf
from kdb.partitions.enumeration import all_partitions, design, to_masks, upper


def scores(labels, pairs, weights):
    return design(labels).features(upper(pairs)) @ weights


def drawn(pairs, weights, seed):
    """The bundles of a partition drawn from the model."""
    labels = all_partitions(len(pairs))
    p = np.exp(scores(labels, pairs, weights))
    row = labels[np.random.default_rng(seed).choice(len(p), p=p / p.sum())]
    return [sorted(own) for own in sets(to_masks(row), len(pairs))]


@pytest.mark.parametrize("items", [5, 8])
def test_fitting_finds_what_made_the_bundles(items):
    """Bundles drawn from known weights: the fit likes the feature that counted, with the right sign."""
    weights = np.zeros(crf.n_weights(2))
    weights[0] = 3
    pairs = [random_pairs(seed, items) for seed in range(300)]
    found = crf.fit(pairs, [drawn(own, weights, seed) for seed, own in enumerate(pairs)])
    assert found[0] + found[2] > 2
    assert abs(found[1]) + abs(found[3]) < 1


def test_large_sessions_are_fitted_too():
    """All sessions have more items than are listed in full: twins are bundles, so the fit learns to like them."""
    pairs = [twins(5 + n % 3) for n in range(12)]
    truth = [[[2 * k, 2 * k + 1] for k in range(len(own) // 2)] for own in pairs]
    weights = crf.fit(pairs, truth)
    found = crf.distribution(twins(8), weights)
    assert sets(to_masks(found.labels[0]), 16) == [{2 * k, 2 * k + 1} for k in range(8)]


def test_the_gradient_of_both_kinds_of_session():
    """By differences: of an exact session and of one by its best partitions."""
    exact = crf._all_partitions(
        [random_pairs(1, 5), random_pairs(2, 5)], [[[0, 1]], [[0, 2, 4], [1, 3]]], [1.0, 0.3]
    )
    large = crf._NBest(random_pairs(3, 10), [[0, 9], [1, 2, 3]], 0.4)
    weights = np.random.default_rng(0).normal(size=crf.n_weights(2)) / 2
    large.search(weights)
    for part in (exact, crf._NBestLikelihood.of([large, large])):
        _, gradient = part.loss(weights)
        for n in range(len(weights)):
            step = np.zeros_like(weights)
            step[n] = 0.01
            slope = (part.loss(weights + step)[0] - part.loss(weights - step)[0]) / 0.02
            assert gradient[n] == pytest.approx(slope, abs=2e-2)


def test_a_session_of_weight_two_counts_as_two():
    pairs, truth = (
        [random_pairs(1, 5), random_pairs(2, 4), random_pairs(3, 10)],
        [[[0, 1]], [[0, 2], [1, 3]], [[0, 1]]],
    )
    twice = crf.fit([*pairs, *pairs[1:]], [*truth, *truth[1:]])
    assert crf.fit(pairs, truth, session_weights=[1, 2, 2]) == pytest.approx(twice, abs=1e-3)
    alone = crf.fit(pairs[:1], truth[:1])
    assert crf.fit(pairs, truth, session_weights=[1, 0, 0]) == pytest.approx(alone, abs=1e-3)


def test_a_strong_prior_stays():
    pairs = [random_pairs(seed, 4) for seed in range(5)]
    prior = np.arange(crf.n_weights(2)) / 10
    assert np.allclose(crf.fit(pairs, [[[0, 1]]] * 5, prior, precision=1e6), prior, atol=1e-3)


def test_a_precision_for_each_weight_and_features_that_are_not_in_use():
    pairs = [random_pairs(seed, 4) for seed in range(40)]
    truth = [drawn(own, np.r_[2.0, 2.0, np.zeros(10)], seed) for seed, own in enumerate(pairs)]
    free = crf.fit(pairs, truth)
    held = crf.fit(pairs, truth, active=[True, False])
    assert (held[[1, 3]] == 0).all() and abs(free[1]) > 0.1
    alone = crf.fit([own[:, :, :1] for own in pairs], truth)
    assert held[crf.active_weights([True, False])] == pytest.approx(alone, abs=0.02)
    precision = np.full(crf.n_weights(2), 0.5)
    precision[0] = 1e6
    assert abs(crf.fit(pairs, truth, precision=precision)[0]) < 1e-3


@pytest.mark.parametrize("truth", [[], [[0, 1, 2, 3]]])
def test_no_positive_or_no_negative_pair(truth):
    assert np.isfinite(crf.fit([random_pairs(0, 4)], [truth])).all()


def test_sessions_of_one_item_say_nothing():
    assert (crf.fit([random_pairs(0, 1), random_pairs(0, 0)], [[], []]) == 0).all()


@given(st.integers(2, 8), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_beam_is_exact_where_all_partitions_fit(items, seed):
    """Up to 8 items the beam holds every partition, with the scores of their features."""
    pairs, weights = random_pairs(seed, items), np.random.default_rng(seed).normal(size=crf.n_weights(2))
    labels, found = beam.search(pairs, weights)
    assert len(labels) == len(all_partitions(items)) == len({row.tobytes() for row in labels})
    assert found == pytest.approx(scores(labels, pairs, weights), abs=1e-3)
    exact = crf.distribution(pairs, weights)
    p = np.exp(found - found.max())
    assert p / p.sum() == pytest.approx(exact.probabilities, abs=1e-4)


@pytest.mark.parametrize("items", [11, 60])
def test_scores_of_a_beam_are_those_of_its_partitions(items):
    pairs, weights = random_pairs(items, items), np.random.default_rng(2).normal(size=crf.n_weights(2)) / 4
    labels, found = beam.search(pairs, weights, width=50)
    assert len(labels) == 50 and (np.diff(found) <= 0).all()
    assert found == pytest.approx(scores(labels, pairs, weights), rel=1e-3, abs=1e-2)


def test_a_whole_session_is_scored_as_one_in_the_beam():
    weights = np.zeros(crf.n_weights(1))
    weights[2 + 3] = 9.0
    labels, _ = beam.search(random_pairs(0, 12, 1), weights)
    assert (labels[0] == 0).all()


@pytest.mark.parametrize("items", [1, 2, 5, 8, 11])
def test_it_is_a_distribution_in_order(items):
    weights = np.random.default_rng(1).normal(size=crf.n_weights(2)) / 2
    found = crf.distribution(random_pairs(items, items), weights)
    assert math.isclose(found.probabilities.sum(), 1)
    assert (np.diff(found.probabilities) <= 0).all()
    partitions, probabilities = found.top()
    assert len(set(partitions)) == len(partitions) == len(probabilities) <= crf.TOP_K
    assert all(partitions)


@given(st.integers(2, 10), st.integers(0, 1000), st.data())
@settings(max_examples=40, deadline=None)
def test_a_part_of_a_bundle_is_at_least_as_probable(items, seed, data):
    found = crf.distribution(random_pairs(seed, items), np.random.default_rng(seed).normal(size=crf.n_weights(2)))
    group = data.draw(st.permutations(range(items)))
    probabilities = [found.within(group[:size]) for size in range(1, items + 1)]
    assert probabilities[0] == pytest.approx(1)
    assert all(a >= b - 1e-12 for a, b in pairwise(probabilities))
    # Of two items it is what all partitions that hold them together have.
    together = found.labels[:, group[0]] == found.labels[:, group[1]]
    assert probabilities[1] == pytest.approx(found.probabilities[together].sum())


def test_items_may_come_in_any_order():
    """Up to 8 items the distribution does not depend on the order of the items."""
    weights = np.random.default_rng(2).normal(size=crf.n_weights(2)) / 2
    pairs = random_pairs(3, 4)
    best = {frozenset(map(frozenset, sets(crf.distribution(pairs, weights).top()[0][0], 4)))}
    for order in permutations(range(4)):
        moved = pairs[np.ix_(order, order)]
        top = sets(crf.distribution(moved, weights).top()[0][0], 4)
        best.add(frozenset(frozenset(order[i] for i in block) for block in top))
    assert len(best) == 1


def test_groups_of_names():
    assert groups_of([1, 0, 1, 2, 0]) == [[1, 4], [0, 2]]
