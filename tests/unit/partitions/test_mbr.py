"""The decision among candidates: against the metric and brute force, and bounded whatever the session."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.partition_cases import groups_of, random_pairs, sets, twins

from kdb.errors import UsageError
from kdb.evaluation.matched_session import matched_f1
from kdb.partitions import crf, mbr
from kdb.partitions.enumeration import from_bundles, to_masks
from kdb.partitions.matching import MatchedF1


def partitions_of(items, most):
    names = st.lists(st.integers(0, items // 2), min_size=items, max_size=items)
    return st.lists(names, min_size=1, max_size=most).map(
        lambda rows: [b for b in (to_masks(from_bundles(items, groups_of(row))) for row in rows) if b]
    )


@given(partitions_of(9, 4).filter(bool), partitions_of(9, 4).filter(bool))
def test_matched_f1_is_the_metric(options, truths):
    scores = MatchedF1(options, truths)
    bounds = scores.upper_bounds()
    for n, option in enumerate(options):
        found = scores.exact(n)
        for m, truth in enumerate(truths):
            assert found[m] == pytest.approx(matched_f1(sets(option, 9), sets(truth, 9)))
            assert bounds[n, m] >= found[m] - 1e-12


@given(partitions_of(8, 4).filter(bool), st.sampled_from(mbr.UTILITIES), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_prediction_is_the_best_candidate(truths, utility, random):
    p = np.array([random.random() + 0.01 for _ in truths])
    p /= p.sum()

    def expected(option):
        total = 0.0
        for truth, chance in zip(truths, p, strict=True):
            own, true = sets(option, 8), sets(truth, 8)
            covers = [max((len(a) / len(b) for b in true if a <= b), default=0) for a in own]
            value = matched_f1(own, true) if utility == "f1" else sum(covers) / len(covers)
            total += chance * value
        return total

    chosen = mbr.best_prediction(truths, p, 8, utility)
    assert expected(chosen) == pytest.approx(max(expected(o) for o in mbr.candidates(truths, p, 8)))


def test_up_to_eight_items_every_part_is_a_candidate():
    partition = (0b11, 0b1100, 0b110000, 0b11000000)
    found = mbr.candidates([partition], np.ones(1), 8)
    assert len([own for own in found if set(own) <= set(partition)]) == 2**4 - 1


def test_certainty_is_followed():
    truth = (0b000011, 0b011100)
    assert mbr.best_prediction([truth], np.array([1.0]), 6, "f1") == truth


def test_unknown_utility():
    with pytest.raises(UsageError, match="f1, precision"):
        mbr.best_prediction([(3,)], np.array([1.0]), 2, "recall")


@pytest.mark.parametrize("utility", mbr.UTILITIES)
@pytest.mark.parametrize("items", [20, 60, 500])
def test_many_clear_pairs_are_found(utility, items):
    """Sessions in which subsets or assignments of bundles cannot be listed; beyond MAX_ITEMS none is decided on."""
    weights = np.array([0.0, 2.0, *np.zeros(8)])
    decoded = mbr.decode(twins(items // 2), weights, utility)
    pairs = [[2 * k, 2 * k + 1] for k in range(min(items, crf.MAX_ITEMS) // 2)]
    found = sorted(bundle.positions for bundle in decoded)
    assert found == pairs if utility == "f1" else all(own in pairs for own in found)
    assert all(bundle.probability > 0.9 for bundle in decoded)


@pytest.mark.parametrize("items", [0, 1])
def test_nothing_to_bundle(items):
    assert mbr.decode(random_pairs(0, items), np.zeros(crf.n_weights(2)), "f1") == []


def test_a_session_of_two_is_a_bundle_with_its_probability():
    weights = np.zeros(crf.n_weights(1))
    (bundle,) = mbr.decode(random_pairs(0, 2, 1), weights, "f1")
    assert (bundle.positions, bundle.probability) == ([0, 1], pytest.approx(0.5))


def test_equal_items_in_any_number():
    """Twenty items of which each two are alike: no partition stands out, and an answer is given all the same."""
    decoded = mbr.decode(np.ones((20, 20, 1), dtype=np.float32), np.zeros(crf.n_weights(1)), "f1")
    assert all(set(bundle.positions) <= set(range(20)) for bundle in decoded)
    assert decoded
