"""Rules: discrepancies by type, what counts as a rule, near-duplicates and contradictions."""

import json

import numpy as np
import pytest

from kdb.extraction import attempts
from kdb.extraction.rule_merging import RawRule, consolidate
from kdb.records import Bundle, Item, Session, Usage
from kdb.retrieval.embedder import open_embedder

SESSION = Session(
    id="s1",
    domain="d",
    items=[Item(name, f"title {name}") for name in "abcdef"],
    bundles=[Bundle(["a", "b", "c"], "one"), Bundle(["d", "e"], "two")],
)
MISSED_BOTH = ["- [1, 2, 3]: not found (this is a bundle)", "- [4, 5]: not found (this is a bundle)"]


def findings(*bundles: list[int]) -> list[str]:
    attempt = attempts.read_attempt(json.dumps({"bundles": [{"products": b, "intent": ""} for b in bundles]}))
    return [str(finding) for finding in attempts.compare(attempt, SESSION)]


@pytest.mark.parametrize(
    ("bundles", "expected"),
    [
        ([[1, 2, 3], [5, 4]], ["- [1, 2, 3]: right", "- [4, 5]: right"]),
        ([[1, 2], [4, 5]], ["- [1, 2]: misses products (3)", "- [4, 5]: right"]),
        ([[1, 2, 3], [4, 5, 6]], ["- [1, 2, 3]: right", "- [4, 5, 6]: has irrelevant products (6)"]),
        (
            [[1, 2, 6], [4, 5]],
            [
                "- [1, 2, 6]: has irrelevant products (6)",
                "- [1, 2, 6]: misses products (3)",
                "- [4, 5]: right",
            ],
        ),
        ([[4]], ["- [4]: too small (a bundle has two products or more)", *MISSED_BOTH]),
        ([[1, 6]], ["- [1, 6]: invalid (these are not bought together)", *MISSED_BOTH]),
        ([[1, 9]], ["- [1, 9]: invalid (there is no product 9)", *MISSED_BOTH]),
        ([], MISSED_BOTH),
    ],
)
def test_each_discrepancy_is_stated_by_its_type(bundles: list[list[int]], expected: list[str]) -> None:
    assert findings(*bundles) == expected


def test_unreadable_attempt_finds_nothing() -> None:
    attempt = attempts.read_attempt("I would bundle the first two.")
    assert attempt is None
    assert [str(finding) for finding in attempts.compare(attempt, SESSION)] == MISSED_BOTH
    assert not attempts.is_perfect(attempts.compare(attempt, SESSION))


def test_first_question_shows_neither_truth_nor_category() -> None:
    item = Item("a", "Wok", [["Kitchen", "Cookware"]])
    session = Session(id="s", domain="d", items=[item, Item("b", "Tin")], bundles=[Bundle(["a", "b"], "dinner")])
    text = json.dumps(attempts.first_messages(session))
    assert "Wok" in text
    assert "Cookware" not in text
    assert "dinner" not in text


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("Bundle chargers with the devices that they charge.", True),
        ("Two cameras hardly ever belong together.", True),
        ("Do not bundle product 3 with product 4.", False),
        ("Item #2 is irrelevant to the others.", False),
        ("The bundle [1, 2] was wrong.", False),
        ("Be careful.", False),
    ],
)
def test_rule_must_be_general(rule: str, kept: bool) -> None:
    assert attempts.read_rules(json.dumps({"rules": [rule]})) == ([rule] if kept else [])


def raw(*texts: str) -> list[RawRule]:
    return [RawRule(text, f"s{n}", Usage()) for n, text in enumerate(texts)]


def merged(*texts: str, threshold: float = 0.8) -> list[tuple[list[int], list[int]]]:
    found = raw(*texts)
    vectors = open_embedder().encode([rule.subject for rule in found])
    return [(group.members, group.contradicts) for group in consolidate(found, vectors, threshold)]


CHARGE = "Put chargers and the devices that they charge into one bundle."


def test_near_duplicates_are_merged_and_others_are_not() -> None:
    again = "Put a charger and the device that it charges into one bundle."
    other = "Shoes and garden tools belong to different hobbies."
    assert merged(CHARGE, other, again) == [([0, 2], []), ([1], [])]


def test_opposite_advice_is_flagged_and_never_merged() -> None:
    against = CHARGE.replace("Put", "Do not put")
    assert merged(CHARGE, against, CHARGE) == [([0, 2], [1]), ([1], [0])]


def test_no_chain_of_small_steps_joins_what_is_far_apart() -> None:
    angles = np.radians([0, 30, 60])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")
    groups = consolidate(raw("rule one is this", "rule two is this", "rule three is this"), vectors, 0.85)
    assert [group.members for group in groups] == [[0, 1], [2]]


def test_no_rules_are_no_groups() -> None:
    assert consolidate([], np.zeros((0, 0), dtype="float32"), 0.8) == []
