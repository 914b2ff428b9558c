"""Partitions, their posterior and the decision: against counting and brute force."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.errors import UsageError
from kdb.evaluation import metrics
from kdb.partitions import crf, mbr
from kdb.partitions.enumeration import all_partitions, features, from_bundles, to_masks


def sets(bundling, items):
    return [{i for i in range(items) if mask >> i & 1} for mask in bundling]


def random_evidence(seed, items, kinds=2):
    values = np.random.default_rng(seed).normal(size=(items, items, kinds)).astype(np.float32)
    return (values + values.transpose(1, 0, 2)) / 2


@pytest.mark.parametrize("items, bell", [(1, 1), (2, 2), (3, 5), (4, 15), (5, 52), (8, crf.BEAM_WIDTH)])
def test_every_partition_once(items, bell):
    labels = all_partitions(items)
    assert len(labels) == bell == len({tuple(row) for row in labels.tolist()})


@given(st.lists(st.integers(0, 4), min_size=2, max_size=8))
def test_a_partition_is_nearest_to_its_own_bundles(names):
    items = len(names)
    groups = [[i for i in range(items) if names[i] == name] for name in set(names)]
    groups = [group for group in groups if len(group) > 1]
    labels = from_bundles(items, groups)
    assert sorted(map(sorted, sets(to_masks(labels), items))) == sorted(groups)
    assert any((row == labels).all() for row in all_partitions(items))


def test_features_by_hand():
    evidence = np.zeros((4, 4, 1), dtype=np.float32)
    evidence[0, 1] = evidence[0, 2] = evidence[1, 2] = 2
    (row,) = features(np.array([[0, 0, 0, 1]], dtype=np.uint8), evidence)
    assert row.tolist() == [3, 6, 3, 1, 1, 0, -1.5, -0.5, -0.5, 0]


def test_fitting_finds_what_made_the_bundles():
    """Bundles drawn from known weights: the fit likes the evidence that counted, with the right sign."""
    rng = np.random.default_rng(0)
    weights = np.array([3.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    evidence = [random_evidence(seed, 5) for seed in range(300)]
    truth = []
    for one in evidence:
        labels = all_partitions(5)
        p = np.exp(features(labels, one) @ weights)
        drawn = to_masks(labels[rng.choice(len(p), p=p / p.sum())])
        truth.append([sorted(s) for s in sets(drawn, 5)])
    found = crf.fit(evidence, truth)
    assert found[0] + found[2] > 2
    assert abs(found[1]) + abs(found[3]) < 1


def test_a_strong_prior_stays():
    evidence = [random_evidence(seed, 4) for seed in range(5)]
    prior = np.arange(crf.n_weights(2)) / 10
    found = crf.fit(evidence, [[[0, 1]]] * 5, prior=prior, ridge=1e6)
    assert np.allclose(found, prior, atol=1e-3)


@pytest.mark.parametrize("items", [2, 5, 8, 11])
def test_the_posterior_is_a_distribution_in_order(items):
    weights = np.random.default_rng(1).normal(size=crf.n_weights(2)) / 2
    bundlings, probabilities = crf.top_partitions(random_evidence(items, items), weights)
    assert math.isclose(probabilities.sum(), 1)
    assert (np.diff(probabilities) <= 0).all()
    assert len(set(bundlings)) == len(bundlings) <= crf.TOP_K + 1
    assert all(bundlings)


bundlings = st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1, max_size=4).map(
    lambda rows: [b for b in (to_masks(from_bundles(6, _groups(row))) for row in rows) if b]
)


def _groups(names):
    groups = [[i for i in range(len(names)) if names[i] == name] for name in sorted(set(names))]
    return [group for group in groups if len(group) > 1]


@given(bundlings, bundlings)
def test_matched_f1_is_the_metric(options, truths):
    found = mbr.pairwise_matched_f1(options, truths)
    for row, option in zip(found, options, strict=True):
        for value, truth in zip(row, truths, strict=True):
            assert value == pytest.approx(metrics.matched_f1(sets(option, 6), sets(truth, 6)))


@given(bundlings.filter(bool), st.sampled_from(mbr.UTILITIES), st.randoms(use_true_random=False))
def test_the_decision_is_the_best_candidate(truths, utility, random):
    probabilities = np.array([random.random() + 0.01 for _ in truths])
    probabilities /= probabilities.sum()

    def expected(option):
        total = 0.0
        for truth, chance in zip(truths, probabilities, strict=True):
            own, true = sets(option, 6), sets(truth, 6)
            covers = [max((len(p) / len(g) for g in true if p <= g), default=0) for p in own]
            if utility == "f1":
                value = metrics.matched_f1(own, true)
            else:
                value = sum(covers) / len(covers)
            total += chance * value
        return total

    chosen = mbr.best_prediction(truths, probabilities, 6, utility)
    best = max(expected(option) for option in mbr.candidates(truths, 6))
    assert expected(chosen) == pytest.approx(best)


def test_certainty_is_followed():
    truth = (0b000011, 0b011100)
    assert mbr.best_prediction([truth], np.array([1.0]), 6, "f1") == truth


def test_unknown_objective():
    with pytest.raises(UsageError, match="f1, precision"):
        mbr.best_prediction([(3,)], np.array([1.0]), 2, "recall")


def test_items_may_come_in_any_order():
    """Up to 8 items the posterior does not depend on the order of the items."""
    weights = np.random.default_rng(2).normal(size=crf.n_weights(2)) / 2
    evidence = random_evidence(3, 4)
    best = {frozenset(map(frozenset, sets(crf.top_partitions(evidence, weights)[0][0], 4)))}
    for order in permutations(range(4)):
        moved = evidence[np.ix_(order, order)]
        top = sets(crf.top_partitions(moved, weights)[0][0], 4)
        best.add(frozenset(frozenset(order[i] for i in block) for block in top))
    assert len(best) == 1
