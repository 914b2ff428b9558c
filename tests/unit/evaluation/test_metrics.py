"""The metrics against hand-worked cases and, on random small sessions, against the definitions spelled out."""

from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdb.evaluation import definitions, matched_session
from kdb.evaluation.matched_session import MatchedSession, bundle_sets, match, matched_f1
from kdb.evaluation.score_table import columns

ITEMS = "abcdef"
STRANGER = "x"

truths = st.lists(st.sets(st.sampled_from(ITEMS), min_size=2), max_size=4).map(lambda s: [sorted(b) for b in s])
predictions = st.lists(st.lists(st.sampled_from(ITEMS + STRANGER), max_size=7), max_size=4)
many = settings(max_examples=300, deadline=None)


class Sums:
    """What one session adds to each sum, by name."""

    def __init__(self, predicted, truth, items, failed=False) -> None:
        session = MatchedSession(predicted, truth, items, failed)
        self.by_name = {count.__name__: count(session) for count in columns()}

    def __getattr__(self, name: str) -> float:
        return self.by_name[name]


score = Sums


def value(name: str, result: Sums, protocol: str = "strict") -> float:
    metric = definitions(protocol)[name]
    return result.by_name[metric.numerator.__name__] / result.by_name[metric.denominator.__name__]


def test_hand_worked_session() -> None:
    # Truth {a,b,c}, {d,e}. Of four predictions {a,b} hits with coverage 2/3, {d,e} with 1; {a,d} misses and
    # {e,x} names an item that is not there.
    result = score(["ab", "ed", "ad", "ex"], ["abc", "de"], ITEMS)
    assert value("precision", result) == 2 / 4
    assert value("recall", result) == 2 / 2
    assert value("coverage", result) == pytest.approx((2 / 3 + 1) / 2)
    assert value("matched_f1", result) == pytest.approx(2 * (2 / 3 + 1) / (4 + 2))
    assert value("pair_precision", result) == 2 / 3  # ab and de of ab, de, ad
    assert value("pair_recall", result) == 2 / 4
    assert value("pair_f1", result) == pytest.approx(2 * 2 / (3 + 4))
    assert value("invalid", result) == 1 / 4
    assert value("hallucinated", result) == 1 / 8
    assert result.exact == 0


def test_protocols_differ_where_they_should() -> None:
    # Both predictions lie in abc, only the first in bcd: two hits, of which strict recall counts true
    # bundles, released recall predictions; {b,c} covers 2/4 of the first truth that holds it, 2/3 at best.
    result = score(["bc", "ab"], ["abce", "bcd"], ITEMS)
    assert value("recall", result) == 1
    assert value("coverage", result) == pytest.approx((2 / 3 + 2 / 4) / 2)
    assert value("coverage", result, "released") == pytest.approx((2 / 4 + 2 / 4) / 2)
    twice = score(["ab", "bc", "ac"], ["abc"], ITEMS)
    assert value("recall", twice) == 1
    assert value("recall", twice, "released") == 3


def test_nothing_predicted_scores_zero_and_leaves_only_the_released_mean() -> None:
    for nothing in ([], ["a"], ["ax"]):
        result = score(nothing, ["ab"], ITEMS)
        assert (result.precision, result.recall, result.matched_f1, result.sessions) == (0, 0, 0, 1)
    assert score([], ["ab"], ITEMS).parsed == 0


def test_session_without_true_bundles() -> None:
    right, failed, wrong = score([], [], "abc"), score([], [], "abc", failed=True), score(["ab"], [], "abc")
    assert (right.precision, right.recall, right.matched_f1, right.exact) == (1, 1, 1, 1)
    assert (failed.precision, failed.recall, failed.matched_f1, failed.exact) == (0, 0, 0, 0)
    assert (wrong.precision, wrong.recall, wrong.matched_f1, wrong.exact) == (0, 0, 0, 0)


@many
@given(predictions, truths)
def test_definitions_by_brute_force(predicted: list[list[str]], truth: list[list[str]]) -> None:
    result = score(predicted, truth, ITEMS)
    distinct = {frozenset(p) for p in predicted}
    valid = {p for p in distinct if len(p) >= 2 and STRANGER not in p}
    true = {frozenset(g) for g in truth}
    hits = [p for p in valid if any(p <= g for g in true)]
    found = [g for g in true if any(p <= g for p in valid)]
    if distinct:
        assert result.precision == len(hits) / len(distinct)
        assert result.released_precision == result.precision
    if true:
        assert result.recall == len(found) / len(true)
        assert result.released_recall == len(hits) / len(true)
    assert result.coverage == pytest.approx(sum(max(len(p) / len(g) for g in true if p <= g) for p in hits))

    def pairs(bundles: set[frozenset[str]]) -> set[tuple[str, str]]:
        return {(a, b) for a, b in combinations(ITEMS, 2) if any({a, b} <= bundle for bundle in bundles)}

    assert result.pair_hits == len(pairs(valid) & pairs(true))
    assert (result.pairs_predicted, result.pairs_true) == (len(pairs(valid)), len(pairs(true)))
    assert result.invalid == len(distinct) - len(valid)
    assert result.exact == (distinct == true)


@many
@given(predictions, truths)
def test_matching_is_optimal(predicted: list[list[str]], truth: list[list[str]]) -> None:
    valid = [p for p in bundle_sets(predicted) if len(p) > 1]
    true = bundle_sets(truth)
    few, others = sorted((valid, true), key=len)
    best = max(
        sum(len(a & b) / len(a | b) for a, b in zip(few, order, strict=True))
        for order in permutations(others, len(few))
    )
    pairs = match(valid, true)
    assert sum(j for _, _, j in pairs) == pytest.approx(best)
    assert len({p for p, _, _ in pairs}) == len({t for _, t, _ in pairs}) == len(pairs)
    if predicted or truth:
        size = len(bundle_sets(predicted)) + len(true)
        assert matched_f1(predicted, truth) == pytest.approx(2 * best / size)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sets(st.integers(0, 9), min_size=2, max_size=4), min_size=11, max_size=11))
def test_many_bundles_are_matched_as_few_are(bundles: list[set[int]]) -> None:
    """Six bundles against five are assigned by SciPy; trying all permutations says the same."""
    sets = [frozenset(map(str, bundle)) for bundle in bundles]
    found = match(sets[:6], sets[6:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matched_session, "MAX_PERMUTATIONS", 1000)
        tried = match(sets[:6], sets[6:])
    assert sum(j for _, _, j in found) == pytest.approx(sum(j for _, _, j in tried))


@many
@given(predictions, truths, st.randoms())
def test_order_and_duplicates_change_nothing(predicted: list[list[str]], truth: list[list[str]], random) -> None:
    other = [random.sample(p, len(p)) + p[:1] for p in predicted + predicted[:1]]
    random.shuffle(other)
    # The released protocol alone depends on the order, of the truth: it takes the first bundle that fits.
    before = score(predicted, truth, ITEMS).by_name
    assert score(other, truth, ITEMS).by_name == before
    again = score(predicted, random.sample(truth, len(truth)) + truth[:1], ITEMS).by_name
    assert {**again, "released_coverage": 0} == {**before, "released_coverage": 0}


@many
@given(predictions, truths, st.lists(st.sampled_from(ITEMS + STRANGER), max_size=4))
def test_a_wrong_bundle_never_raises_precision(
    predicted: list[list[str]], truth: list[list[str]], wrong: list[str]
) -> None:
    before = score(predicted, truth, ITEMS)
    if len(set(wrong)) >= 2 and any(set(wrong) <= set(g) for g in truth):
        return
    after = score([*predicted, wrong], truth, ITEMS)
    assert after.precision <= before.precision
    assert after.recall <= 1 and before.recall <= 1
