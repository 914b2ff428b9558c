"""Corrections: what is said of an attempt leads from it to the true bundles, and to nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.extraction.correction import CORRECT, feedback, findings
from kdb.prompts import sanitized_text
from kdb.records import Bundle, Item, Session

ITEMS = 8
NUMBERED = re.compile(r"Bundle ([\d, ]+): ([a-z ]+?)(?: \(([^)]*)\))?")
Numbers = frozenset[int]


def bundles(numbers: list[list[int]]) -> list[Bundle]:
    return [Bundle([f"i{n}" for n in own], "an intent") for own in numbers]


def said(attempt: list[list[int]], truth: list[list[int]]) -> str:
    items = [Item(f"i{n}", f"title {n}") for n in range(1, ITEMS + 1)]
    session = Session(id="s", domain="d", items=items, bundles=bundles(truth))
    return feedback(findings(session, bundles(attempt)))


def corrected(attempt: list[list[int]], text: str) -> set[Numbers]:
    """The attempt as somebody would have it who does what each line of the feedback says, and knows no more."""
    if text == CORRECT:
        return set(map(frozenset, attempt))
    bundles: dict[Numbers, set[int]] = {}
    for line in text.splitlines():
        stated, judgement, detail = NUMBERED.fullmatch(line).groups()
        products = frozenset(map(int, stated.split(", ")))
        own = bundles.setdefault(products, set(products))
        if judgement == "has irrelevant products":
            own -= set(map(int, detail.split(", ")))
        elif judgement == "misses products":
            own |= set(map(int, detail.split(", ")))
        elif judgement == "invalid":
            own.clear()
        else:
            assert judgement in ("right", "not found")
    return {frozenset(own) for own in bundles.values() if own}


groups = st.lists(st.integers(1, ITEMS), min_size=2, max_size=5, unique=True).map(sorted)
bundlings = st.lists(groups, max_size=4, unique_by=tuple)


@given(attempt=bundlings, truth=bundlings.filter(bool))
def test_whoever_follows_the_feedback_arrives_at_the_truth(attempt: list, truth: list) -> None:
    text = said(attempt, truth)
    assert corrected(attempt, text) == set(map(frozenset, truth))
    assert text == said(attempt, truth) == sanitized_text(text)


@given(attempt=bundlings, truth=bundlings.filter(bool))
def test_only_the_truth_is_correct(attempt: list, truth: list) -> None:
    assert (said(attempt, truth) == CORRECT) is (set(map(frozenset, attempt)) == set(map(frozenset, truth)))


@pytest.mark.parametrize(
    ("attempt", "text"),
    [
        ([[4, 5], [1, 2, 3]], "Correct."),
        ([], "Bundle 1, 2, 3: not found (this is a bundle)\nBundle 4, 5: not found (this is a bundle)"),
        ([[1, 2], [4, 5, 6]], "Bundle 1, 2: misses products (3)\nBundle 4, 5, 6: has irrelevant products (6)"),
        (
            [[6, 7], [1, 2, 3], [4, 5]],
            "Bundle 6, 7: invalid (these are not bought together)\nBundle 1, 2, 3: right\nBundle 4, 5: right",
        ),
    ],
)
def test_each_error_is_named_by_its_type(attempt: list, text: str) -> None:
    assert said(attempt, [[1, 2, 3], [4, 5]]) == text
