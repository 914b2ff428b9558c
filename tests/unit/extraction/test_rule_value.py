"""A rule is worth what it is right about beyond chance; the counts are those of every pair, one by one."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UnsetType

from kdb.extraction.rule_value import PairCounts, measured
from kdb.records import Bundle, Item, Knowledge, Session

CAMERA, BAG, TENT = ["Shop", "Cameras"], ["Shop", "Bag"], ["Shop", "Tents"]


def session(number: int, bundles: list[str]) -> Session:
    """Items a and b are cameras, c a bag, d a tent; e has no category."""
    items = [
        Item(i, i, [path] if path else []) for i, path in zip("abcde", [CAMERA, CAMERA, BAG, TENT, []], strict=True)
    ]
    return Session(id=str(number), domain="d", items=items, bundles=[Bundle(list(b)) for b in bundles])


SESSIONS = [session(1, ["ac"]), session(2, ["ac", "bc"]), session(3, ["de"])]
# Each session has six pairs of items with categories; bundled are ac, ac and bc: three of 18.
CHANCE = 3 / 18


def rule(text: str, name: str = "", **more: object) -> Knowledge:
    return Knowledge(id=name or text, format="rule", domain="d", text=text, **more)


def test_advice_counts_where_it_applies_and_where_it_is_wrong() -> None:
    advice = rule("x", antecedent=["Shop > Cameras"], consequent=["Shop > Bag"])
    [kept], dropped = measured([advice], SESSIONS)
    assert (kept.applied, kept.violations, dropped) == (6, 3, 0)
    assert kept.value == pytest.approx((3 - CHANCE * 6) / 3, abs=1e-6)


def test_a_warning_is_right_where_advice_would_be_wrong() -> None:
    warning = rule("Do not bundle them", antecedent=["Shop > Bag", "Shop > Tents"])
    [kept], dropped = measured([warning], SESSIONS)
    assert (kept.applied, kept.violations, dropped) == (3, 0, 0)
    assert kept.value == pytest.approx((3 - (1 - CHANCE) * 3) / 3, abs=1e-6)


def test_the_categories_in_a_text_are_its_condition() -> None:
    found, dropped = measured(
        [rule("Bundle cameras with a bag."), rule("Put a bag with tents."), rule("Bundle what is nice.")], SESSIONS
    )
    assert [(r.text, r.value if not isinstance(r.value, UnsetType) else None) for r in found] == [
        ("Bundle cameras with a bag.", pytest.approx(2 / 3, abs=1e-6)),
        ("Bundle what is nice.", None),
    ]
    assert dropped == 1


def test_a_rule_that_is_left_out_contradicts_no_more() -> None:
    good = rule("Bundle cameras with a bag.", "1", contradicts=["2"])
    bad = rule("Never bundle cameras with a bag.", "2", contradicts=["1"])
    [kept], dropped = measured([good, bad], SESSIONS)
    assert (kept.id, dropped) == ("1", 1)
    assert isinstance(kept.contradicts, UnsetType)


@given(st.lists(st.sets(st.sampled_from("abcd"), min_size=2), max_size=3), st.integers(1, 3))
def test_counts_are_those_of_each_pair(bundles: list[set[str]], copies: int) -> None:
    one = session(1, ["".join(sorted(b)) for b in bundles])
    counts = PairCounts.of([one] * copies)
    names = dict(zip("abcd", ["Shop > Cameras", "Shop > Cameras", "Shop > Bag", "Shop > Tents"], strict=True))
    together = {p for b in bundles for p in combinations(sorted(b), 2)}
    for a, b in combinations("abcd", 2):
        pair = tuple(sorted((names[a], names[b])))
        same = [(x, y) for x, y in combinations("abcd", 2) if tuple(sorted((names[x], names[y]))) == pair]
        assert counts.met[pair] == copies * len(same)
        assert counts.bundled[pair] == copies * len(together & set(same))
    assert counts.share == pytest.approx(len(together) / 6)
