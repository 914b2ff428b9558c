"""Sentences: none says more than its interval; contrasts: corrected inside their family."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.evaluation.contrasts import Contrast, family
from kdb.evaluation.findings import Effect, Score, Spent, best_against_baseline, conclusion, cost, effects
from kdb.evaluation.number_format import amount, number, p_value, signed
from kdb.records import Comparison


def contrast(difference: float, low: float, high: float, p: float, at_floor: bool = False) -> Contrast:
    return Contrast("a", "b", difference, (low, high), p, at_floor)


TIE = contrast(0.003, -0.020, 0.027, 1.0)
GAIN = contrast(0.050, 0.021, 0.080, 0.004)


def test_the_sentence_of_a_tie_states_what_is_ruled_out() -> None:
    student = Score("SFT", 0.684, [0.641, 0.727])
    said = best_against_baseline(student, Score("posterior", 0.681, [0.637, 0.724]), TIE, 180, 258)
    assert said == (
        "On 180 held-out sessions with 258 true bundles, the student SFT reaches a matched F1 of 0.684 "
        "(95 % interval 0.641 to 0.727); the best method without a student, posterior, reaches 0.681 "
        "(0.637 to 0.724). The paired difference is +0.003 (−0.020 to +0.027, p = 1.00): no difference is shown; "
        "a gain above 0.027 and a loss above 0.020 are ruled out."
    )


def test_what_was_chosen_on_the_same_sessions_and_how_many_there_are_is_said() -> None:
    seeds = Score("a, b", 0.684, [0.641, 0.727], seeds=3, spread=0.0034, among=13)
    said = best_against_baseline(seeds, Score("clusters", 0.6, None, among=1), GAIN, 8, 0)
    assert "On 8 held-out sessions, which are few, the student “a, b” reaches" in said
    assert "0.684 (95 % interval 0.641 to 0.727; standard deviation over 3 seeds 0.003)" in said
    assert said.endswith(
        "a gain of at least 0.021 is shown. Chosen on these same sessions: the student as the best of 13."
    )
    assert "do not compare" in best_against_baseline(seeds, seeds, None, 100, 0)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (GAIN, "a gain of at least 0.021 is shown"),
        (contrast(-0.05, -0.08, -0.021, 0.004), "a loss of at least 0.021 is shown"),
        (
            contrast(0.05, 0.021, 0.08, 0.06),
            "the interval lies above zero, but the corrected test does not confirm it",
        ),
        (contrast(0.05, -0.001, 0.08, 0.04), "no difference is shown; a gain above 0.080"),
        (Contrast("a", "b", 0.05, None, 0.04), "without an interval nothing follows from it"),
    ],
)
def test_conclusions(one: Contrast, said: str) -> None:
    assert conclusion(one).startswith(said)


@given(st.floats(-0.5, 0.5), st.floats(0, 0.3), st.floats(0, 1))
def test_nothing_is_shown_whose_interval_holds_zero(difference: float, half: float, p: float) -> None:
    one = contrast(difference, difference - half, difference + half, p)
    if one.interval and one.interval[0] <= 0 <= one.interval[1]:
        assert not one.is_significant and "at least" not in conclusion(one)
    if p >= 0.05:
        assert "at least" not in conclusion(one)


def test_effects_name_what_is_shown_elsewhere() -> None:
    here = [Effect("pattern", "SFT", TIE), Effect("rule", "SFT", TIE)]
    there = Effect("rule", "zero-shot", GAIN)
    said = effects("Format", "none (0.630)", here, [*here, there])
    assert said.startswith("Format (SFT), against none (0.630): pattern +0.003 (−0.020 to +0.027, p = 1.00), rule")
    assert "No difference is shown; a gain above 0.027 is ruled out." in said
    assert said.endswith(
        "In other settings 1 of 1 comparisons show one: rule (zero-shot) +0.050 (+0.021 to +0.080, p = 0.004)."
    )
    assert "A difference is shown for rule only." in effects(
        "Format", "none", [here[0], Effect("rule", "SFT", GAIN)], []
    )
    many = [
        Effect(name, "", contrast(d, d - 0.1, d + 0.1, 1.0))
        for name, d in zip("abcd", (0.0, 0.03, -0.02, 0.01), strict=True)
    ]
    assert "from c −0.020 (−0.120 to +0.080, p = 1.00) to b +0.030" in effects("Format", "none", many, many)


def test_cost_says_what_is_left_out() -> None:
    spent = [Spent("takes", "seconds", 1217.4, 7.8), Spent("reads", "tokens", 1_008_400, 0.0)]
    assert cost("posterior", spent, True) == (
        "For 1,000 sessions the student takes 1,217 seconds (posterior: 7.8) and reads 1.01 million tokens "
        "(posterior: none)."
    )
    assert "seconds are left out" in cost("posterior", spent[1:], False)


def comparison(runs: tuple[str, str], difference: float, p: float, **stated: object) -> Comparison:
    return Comparison(
        runs=runs, domain="d", protocol="strict", sessions=9, differences={"f1": difference},
        intervals={"f1": [difference - 0.1, difference + 0.2]}, p={"f1": p}, p_holm={"f1": 0.5}, **stated,  # type: ignore[arg-type]
    )  # fmt: skip


def test_old_comparisons_are_corrected_over_the_pairs_asked_for() -> None:
    records = [
        comparison(("a", "b"), 0.1, 0.01),
        comparison(("c", "a"), -0.2, 0.03),
        comparison(("b", "c"), 0.0, 0.9),
    ]
    found = family("any", [("a", "b"), ("a", "c"), ("a", "nobody")], records, "f1")
    assert [one.p for one in found.values()] == [0.02, 0.03]
    turned = found["a", "c"]
    assert turned.difference == 0.2 and turned.interval == pytest.approx((0.0, 0.3)) and not turned.at_floor
    assert family("any", [("b", "c")], records, "f1")["b", "c"].p == 0.9  # a family of its own


def test_a_stated_family_is_taken_as_it_is() -> None:
    records = [
        comparison(("a", "b"), 0.1, 0.0001, family="baseline", p_floor=0.0001),
        comparison(("a", "c"), 0.3, 0.04, family="format"),
    ]
    found = family("baseline", [("a", "b"), ("a", "c")], records, "f1")
    assert list(found) == [("a", "b")] and found["a", "b"].p == 0.5 and found["a", "b"].at_floor


def test_numbers() -> None:
    values = (None, 0.0, 0.1234, 12.3456, 321.4, 134515008.0, 0.00002, -0.5)
    assert [number(v) for v in values] == ["–", "0.000", "0.123", "12.3", "321", "1.35e+08", "2e−05", "−0.500"]
    assert [signed(v) for v in (None, 0.0, -0.0001, 0.0209, -0.0209)] == ["–", "0.000", "0.000", "+0.021", "−0.021"]
    assert [p_value(*p) for p in ((None,), (0.0004,), (0.0123,), (0.79,), (1.0,))] == [
        "not tested", "p < 0.001", "p = 0.012", "p = 0.79", "p = 1.00",
    ]  # fmt: skip
    assert [p_value(p, True) for p in (0.000078, 0.01, 0.00996)] == ["p ≤ 0.0001", "p ≤ 0.010", "p ≤ 0.010"]
    assert [amount(v) for v in (0.0, 1034.0, 1_008_400.0)] == ["none", "1,034", "1.01 million"]
