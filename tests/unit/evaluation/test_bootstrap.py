"""Intervals and paired tests: against exact enumeration and known variances."""

from itertools import product

import numpy as np
import pytest

from kdb.evaluation import bootstrap, definitions
from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.score_table import ScoreTable, columns, metric_values
from kdb.evaluation.significance import holm, permutation_test

METRICS = {name: definitions("strict")[name] for name in ("precision", "recall", "coverage", "matched_f1")}
COUNTS = columns()
COLUMNS = [count.__name__ for count in COUNTS]


def rows(precisions: list[float]) -> np.ndarray:
    """Sessions with these precisions; all else is the same."""
    table = np.zeros((len(precisions), len(COLUMNS)))
    table[:, COLUMNS.index("sessions")] = 1
    table[:, COLUMNS.index("precision")] = precisions
    return table


def test_spread_of_resampled_means_is_the_standard_error() -> None:
    values = np.random.default_rng(1).random((400, 1))
    means = bootstrap.resampled_sums(values, seed=0)[:, 0] / 400
    assert len(means) >= 2000
    assert means.std() == pytest.approx(values.std() / 20, rel=0.05)
    low, high = bootstrap.interval(means) or []
    assert (low, high) == pytest.approx(
        (means.mean() - 1.96 * means.std(), means.mean() + 1.96 * means.std()), abs=0.003
    )


def test_groups_of_sessions_have_the_same_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    # Sorted, so that groups of neighbours would differ far more than groups drawn at random.
    values = np.sort(np.random.default_rng(1).random((10_007, 2)), axis=0)
    alone = bootstrap.resampled_sums(values, seed=0)
    monkeypatch.setattr(bootstrap, "LARGEST", 1000)
    grouped = bootstrap.resampled_sums(values, seed=0)
    assert grouped.mean(axis=0) == pytest.approx(alone.mean(axis=0), rel=0.002)
    assert grouped.std(axis=0) == pytest.approx(alone.std(axis=0), rel=0.1)


def test_same_seed_same_resamples_for_every_run() -> None:
    values = np.random.default_rng(1).random((50, 1))
    once = bootstrap.resampled_sums(np.hstack([values, 2 * values]), seed=3)
    assert np.allclose(2 * once[:, 0], once[:, 1])
    assert (bootstrap.resampled_sums(values, seed=3)[:, 0] == once[:, 0]).all()
    assert not (bootstrap.resampled_sums(values, seed=4)[:, 0] == once[:, 0]).any()


def test_undefined_ratios() -> None:
    sums = np.array([[1.0, 0.0], [1.0, 2.0], [1.0, 4.0]])
    values = bootstrap.ratios(sums, [0], [1])[:, 0]
    assert np.isnan(values[0]) and values[1:].tolist() == [0.5, 0.25]
    assert bootstrap.interval(values) is not None
    assert bootstrap.interval(np.array([np.nan, np.nan, 1.0])) is None


def test_permutation_test_against_all_swaps() -> None:
    first, second = [1.0, 0.5, 1.0, 0.0, 1.0, 0.75, 1.0], [0.0, 0.5, 0.25, 0.5, 0.5, 0.0, 0.75]
    gains = np.subtract(first, second)
    swapped = [abs(np.dot(signs, gains)) for signs in product((1, -1), repeat=len(gains))]
    exact = np.mean(np.array(swapped) >= abs(gains.sum()) - 1e-12)
    p = permutation_test(rows(first), rows(second), {"precision": METRICS["precision"]}, COUNTS, seed=0)[0][0]
    assert p == pytest.approx(exact, abs=0.01)
    assert 0.05 < exact < 0.2  # a case that could come out otherwise


def test_equal_runs_do_not_differ_and_a_clear_gain_does() -> None:
    same = rows([0.5, 1.0, 0.0])
    metrics = {"precision": METRICS["precision"]}
    assert permutation_test(same, same, metrics, COUNTS, seed=0)[0][0] == 1
    better, worse = rows([1.0] * 20), rows([0.0] * 20)
    (p,), floor = permutation_test(better, worse, metrics, COUNTS, seed=0)
    assert p == floor == pytest.approx(1e-4, rel=0.1)


def test_permutation_test_of_many_sessions_swaps_groups() -> None:
    random = np.random.default_rng(0)
    first, second = random.random(12_000), random.random(12_000)
    metrics = {"precision": METRICS["precision"]}
    by_chance = permutation_test(rows(list(first)), rows(list(second)), metrics, COUNTS, seed=0, most=500)[0][0]
    gain = permutation_test(rows(list(first + 0.05)), rows(list(second)), metrics, COUNTS, seed=0, most=500)[0][0]
    assert by_chance > 0.05 > gain


def test_in_a_large_grid_a_clear_gain_is_still_significant() -> None:
    better, worse = rows([1.0] * 60), rows([0.0] * 60)
    metrics, pairs = {"precision": METRICS["precision"]}, 700
    assert permutation_test(better, worse, metrics, COUNTS, seed=0)[0][0] * pairs > 0.05
    assert permutation_test(better, worse, metrics, COUNTS, seed=0, most=100 * pairs)[0][0] * pairs < 0.05


def test_holm() -> None:
    # Worked by hand: .01 * 3, .02 * 2, and .03 * 1 raised to the one before.
    assert holm({0: 0.02, 1: 0.01, 2: 0.03}) == pytest.approx({1: 0.03, 0: 0.04, 2: 0.04})
    assert holm({0: 0.9, 1: 0.8}) == {0: 1.0, 1: 1.0}
    assert holm({}) == {}


def test_metrics_of_sessions_together() -> None:
    scores = ScoreTable()
    scores.add("1", MatchedSession(["ab"], ["ab", "cd"], "abcd"))
    scores.add("2", MatchedSession(["abc", "bc"], ["bcd"], "abcd"))
    values = dict(zip(METRICS, metric_values(scores.table.sum(axis=0), METRICS, COUNTS), strict=True))
    # Means over sessions, but coverage over hits: {a,b} covers 1, {b,c} 2/3.
    assert values["precision"] == pytest.approx((1 + 1 / 2) / 2)
    assert values["recall"] == pytest.approx((1 / 2 + 1) / 2)
    assert values["coverage"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores.of(["2", "1"])[0].tolist() == scores.table[1].tolist()
