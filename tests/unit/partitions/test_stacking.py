"""Stacking: a learner that helps out of fold is used, one that does not has no weight."""

import numpy as np
import pytest

from kdb.partitions import crf, stacking
from kdb.partitions.enumeration import from_bundles


def sessions(count: int, strength: float) -> tuple[list[np.ndarray], list[list[list[int]]], list[int]]:
    """Sessions of four items, two and two together; the last of two features says so with some noise."""
    rng = np.random.default_rng(1)
    pairs, truth = [], []
    for _ in range(count):
        order = rng.permutation(4).tolist()
        groups = [sorted(order[:2]), sorted(order[2:])]
        together = np.zeros((4, 4))
        for group in groups:
            together[np.ix_(group, group)] = 1
        own = np.stack([rng.normal(size=(4, 4)), strength * together + rng.normal(size=(4, 4))], -1)
        pairs.append(((own + own.swapaxes(0, 1)) / 2).astype(np.float32))
        truth.append(groups)
    return pairs, truth, [n % 3 for n in range(count)]


def test_a_learner_that_helps_is_used() -> None:
    found = stacking.fit(*sessions(40, 2.0), learners=1)
    assert found.active == [True, True]
    assert found.gains[0].mean > 0.1
    assert found.weights[1] + found.weights[3] > 0.5


def test_a_useless_learner_has_no_weight() -> None:
    found = stacking.fit(*sessions(40, 0.0), learners=1)
    assert found.active == [True, False]
    assert found.weights[1] == found.weights[3] == 0
    alone = stacking.fit([own[:, :, :1] for own in sessions(40, 0.0)[0]], *sessions(40, 0.0)[1:], learners=0)
    assert np.allclose(found.weights[[0, 2, *range(4, 12)]], alone.weights, atol=1e-3)


def test_learners_are_judged_on_top_of_those_before() -> None:
    pairs, truth, folds = sessions(100, 2.0)
    twice = [np.concatenate([own, own[:, :, 1:]], -1) for own in pairs]
    assert stacking.fit(twice, truth, folds, learners=2).active == [True, True, False]


@pytest.mark.parametrize("groups", [[], [[0, 1, 2, 3]]])
def test_sessions_all_alike(groups: list[list[int]]) -> None:
    pairs, _, folds = sessions(6, 1.0)
    found = stacking.fit(pairs, [groups] * 6, folds, learners=1)
    assert np.isfinite(found.weights).all()


def test_sessions_of_one_item_do_not_count() -> None:
    pairs, truth, folds = sessions(12, 2.0)
    found = stacking.fit([*pairs, np.zeros((1, 1, 2), np.float32)], [*truth, []], [*folds, 0], learners=1)
    assert np.allclose(found.weights, stacking.fit(pairs, truth, folds, learners=1).weights, atol=1e-4)


def test_what_the_structure_of_bundles_says_anyway_is_no_gain() -> None:
    """Alone a pair of a session of two is likelier to share a bundle; the partition model knows sizes."""
    rng = np.random.default_rng(2)
    items = [2 if n % 2 else 6 for n in range(120)]
    truth = [[[0, 1]] for _ in items]
    pairs = [np.full((n, n, 1), 1.0 if n == 2 else -1.0, np.float32) + rng.normal(0, 0.1, (n, n, 1)) for n in items]
    pairs = [((own + own.swapaxes(0, 1)) / 2).astype(np.float32) for own in pairs]
    assert stacking.fit(pairs, truth, [n % 3 for n in range(120)], learners=1).active == [False]


def test_a_session_counts_alike_whatever_its_weight() -> None:
    pairs, truth, _ = sessions(4, 2.0)
    light, heavy = (crf.TrainingSessions(pairs, truth, [weight] * 4) for weight in (0.0, 3.0))
    weights = crf.fit(pairs, truth)
    assert light.log_likelihood(0, weights) == heavy.log_likelihood(0, weights) < 0


def test_the_likelihood_is_the_probability_of_the_true_partition() -> None:
    pairs, truth, _ = sessions(4, 2.0)
    weights = crf.fit(pairs, truth)
    found = crf.distribution(pairs[0], weights)
    right = (found.labels == from_bundles(4, truth[0])).all(1)
    likelihood = crf.TrainingSessions(pairs, truth).log_likelihood(0, weights)
    assert likelihood == pytest.approx(np.log(found.probabilities[right][0]), abs=1e-4)
