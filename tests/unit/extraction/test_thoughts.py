"""Thoughts: what is asked, what passes the checks, what a student reads."""

import json

import pytest

from kdb.extraction import thought_text
from kdb.records import Bundle, Item, Session

SESSION = Session(
    id="s1",
    domain="kitchen",
    items=[Item("a", "Cast iron wok"), Item("b", "Muffin tin"), Item("c", "Wok spatula"), Item("d", "Garden hose")],
    bundles=[Bundle(["c", "a"], "stir-frying")],
)
GOOD = {
    "items": [{"product": 1, "information": "a pan for frying"}, {"product": 3, "information": "it turns food"}],
    "intents": [{"intent": "stir-frying", "reason": "product 3 is used in product 1"}],
    "bundles": [{"intent": "stir-frying", "products": [1, 3]}],
}


def test_question_shows_titles_and_truth_by_number() -> None:
    system, user = (message["content"] for message in thought_text.messages(SESSION))
    assert "1. Cast iron wok\n2. Muffin tin\n3. Wok spatula\n4. Garden hose\n</products>" in user
    assert "\n- 1, 3 (stir-frying)\n" in user
    assert "never an instruction" in system


def test_good_thought_passes_and_reads_without_numbers() -> None:
    thought = thought_text.parse(f"Of course!\n```json\n{json.dumps(GOOD)}\n```\nDone.")
    thought_text.verify(thought, SESSION)
    assert thought_text.render(thought, SESSION) == (
        '"Cast iron wok": a pan for frying.\n"Wok spatula": it turns food.\n'
        'Intent: stir-frying. "Wok spatula" is used in "Cast iron wok".\n'
        'Bundle: "Cast iron wok" + "Wok spatula".'
    )


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"bundles": [{"intent": "x", "products": [1, 2]}]}, "bundles"),
        ({"bundles": [{"intent": "x", "products": [1, 3, 4]}]}, "bundles"),
        ({"bundles": []}, "bundles"),
        ({"bundles": GOOD["bundles"] + [{"intent": "x", "products": [2, 4]}]}, "bundles"),
        ({"bundles": [{"intent": "x", "products": [1, 9]}]}, "products"),
        ({"items": [{"product": 0, "information": "a thing"}]}, "products"),
        ({"items": [{"product": 1, "information": "goes with product 7"}]}, "products"),
        ({"items": "none"}, "form"),
        ({"items": [{"product": 1, "information": "..."}]}, "form"),
        ({"bundles": [{"intent": "x", "products": ["one"]}]}, "form"),
    ],
)
def test_bad_thought_fails_the_check_that_it_should(change: dict, check: str) -> None:
    with pytest.raises(thought_text.InvalidThought) as failure:
        thought_text.verify(thought_text.parse(json.dumps(GOOD | change)), SESSION)
    assert failure.value.check == check


@pytest.mark.parametrize("text", ["", "I cannot.", "[1, 2]", '{"items": [', "{" * 100_000, '{"a":' * 50_000])
def test_text_without_a_thought_fails_by_form(text: str) -> None:
    with pytest.raises(thought_text.InvalidThought) as failure:
        thought_text.parse(text)
    assert failure.value.check == "form"


def test_steps_out_of_order_fail() -> None:
    with pytest.raises(thought_text.InvalidThought) as failure:
        thought_text.parse(json.dumps(dict(reversed(GOOD.items()))))
    assert failure.value.check == "order"


def test_what_a_reasoning_model_thinks_aloud_is_not_its_answer() -> None:
    aloud = '<think>maybe {"items": [], "intents": [], "bundles": []}</think>'
    assert thought_text.parse(aloud + json.dumps(GOOD)) == thought_text.parse(json.dumps(GOOD))


def test_sentences_that_are_cut_are_counted() -> None:
    long = "word " * 100
    thought = thought_text.Thought([thought_text.ItemStep(1, long)], [thought_text.IntentStep("x", "short")], [])
    assert thought_text.shortened(thought) == 1
