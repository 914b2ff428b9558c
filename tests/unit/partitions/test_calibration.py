"""Calibrated probabilities: how often a bundle lies within a true one, learnt on held-out sessions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.partition_cases import random_pairs, sets

from kdb.partitions import calibration, crf
from kdb.partitions.calibration import PlattScaling
from kdb.partitions.enumeration import design, full_design, to_masks, upper


def test_it_finds_how_probabilities_were_bent():
    """Hits drawn with other odds than the probabilities say: the calibrated ones say what was drawn."""
    rng = np.random.default_rng(0)
    said = rng.uniform(0.02, 0.98, 4000)
    true = PlattScaling(0.5, 1.0)
    hits = [bool(rng.random() < true(p)) for p in said]
    found = calibration.fit(said.tolist(), hits)
    assert (found.slope, found.intercept) == (pytest.approx(0.5, abs=0.1), pytest.approx(1.0, abs=0.1))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 5), st.floats(-5, 5))
def test_it_keeps_the_order(a, b, slope, intercept):
    calibrate = PlattScaling(slope, intercept)
    low, high = sorted((a, b))
    assert 0 <= calibrate(low) <= calibrate(high) <= 1


@pytest.mark.parametrize("hits", [[True] * 40, [False] * 40, [True, False] * 5])
def test_too_little_changes_nothing(hits):
    assert calibration.fit([0.3] * len(hits), hits) == PlattScaling()


def test_probabilities_against_the_truth_change_nothing():
    """Where the improbable is more often right, order would be turned: that is no calibration."""
    said = [0.1, 0.9] * 50
    assert calibration.fit(said, [p < 0.5 for p in said]) == PlattScaling()


def test_a_model_that_is_right_stays_nearly_as_it_is():
    """Bundles drawn from the model itself."""
    weights = np.array([1.5, 0.5, 0, 0.5, 0.2, 0, 0, 0, 0, 0])
    pairs = [random_pairs(seed, 5, 1) for seed in range(250)]
    labels, _ = full_design(5)
    truth = []
    for seed, own in enumerate(pairs):
        p = np.exp(design(labels).features(upper(own)) @ weights)
        row = labels[np.random.default_rng(seed).choice(len(p), p=p / p.sum())]
        truth.append([sorted(one) for one in sets(to_masks(row), 5)])
    found = calibration.cross_fit(pairs, truth, crf.fit(pairs, truth), "f1")
    assert [found(p) for p in (0.3, 0.5, 0.8)] == pytest.approx([0.3, 0.5, 0.8], abs=0.1)
    assert calibration.cross_fit(pairs[:1], truth[:1], weights, "f1") == PlattScaling()
