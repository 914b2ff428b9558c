"""Answer formats: whatever the truth is can be said, and whatever the grammar lets a student say can be read."""

import random
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.errors import UsageError
from kdb.prompts.answers import AnswerError
from kdb.prompts.answers.intent_text import GRAMMAR, plain_intent
from kdb.prompts.answers.labels import LETTERS, ItemLabelFormat
from kdb.prompts.answers.list import MOST_BUNDLES, ListFormat
from kdb.student import weights

FORMATS = {"list": ListFormat, "labels": ItemLabelFormat}
SIZES = st.integers(2, 12)


@st.composite
def bundlings(draw, overlap: bool):
    """A session size and some bundles of it, each an ascending list of positions."""
    items = draw(SIZES)
    if overlap:
        group = st.lists(st.integers(0, items - 1), min_size=2, max_size=items, unique=True).map(sorted)
        groups = draw(st.lists(group, max_size=MOST_BUNDLES, unique_by=tuple))
        return items, groups
    labels = draw(st.lists(st.integers(0, 4), min_size=items, max_size=items))
    groups = [[i for i, own in enumerate(labels) if own == label] for label in range(1, 5)]
    return items, [group for group in groups if len(group) > 1]


@cache
def compiler():
    import xgrammar
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(weights.student_path(weights.STUDENT))
    return xgrammar.GrammarCompiler(xgrammar.TokenizerInfo.from_huggingface(tokenizer)), tokenizer


def accepts(grammar: str, text: str) -> bool:
    import xgrammar

    compiled, tokenizer = compiler()
    matcher = xgrammar.GrammarMatcher(compiled.compile_grammar(grammar))
    return matcher.accept_string(text) and matcher.accept_token(tokenizer.eos_token_id)


def random_answer(grammar: str, rng: random.Random) -> tuple[str, int]:
    """An answer drawn token by token from what the grammar allows, and its number of tokens."""
    import torch
    import xgrammar

    compiled, tokenizer = compiler()
    matcher = xgrammar.GrammarMatcher(compiled.compile_grammar(grammar))
    mask = xgrammar.allocate_token_bitmask(1, len(tokenizer))
    tokens: list[int] = []
    while True:
        matcher.fill_next_token_bitmask(mask)
        logits = torch.zeros(1, len(tokenizer))
        xgrammar.apply_token_bitmask_inplace(logits, mask)
        token = rng.choice(torch.isfinite(logits[0]).nonzero()[:, 0].tolist())
        assert matcher.accept_token(token)
        if token == tokenizer.eos_token_id:
            return tokenizer.decode(tokens), len(tokens)
        tokens.append(token)


@given(bundlings(overlap=True))
def test_a_list_says_any_bundles(case):
    items, groups = case
    answer = ListFormat(False)
    text = answer.render(groups, [""] * len(groups), items)
    assert sorted(answer.parse(text, items)[0]) == sorted(groups)
    assert answer.parse_leniently(text, items)[0] == answer.parse(text, items)[0]


@given(bundlings(overlap=False))
def test_labels_say_any_disjoint_bundles(case):
    items, groups = case
    answer = ItemLabelFormat(False)
    text = answer.render(groups, [""] * len(groups), items)
    assert sorted(answer.parse(text, items)[0]) == sorted(groups)


@given(st.text(max_size=200), st.integers(2, 10))
def test_an_intent_never_breaks_the_answer(intent, items):
    answer = ListFormat(True)
    text = answer.render([[0, 1]], [intent], items)
    groups, intents = answer.parse(text, items)
    assert groups == [[0, 1]]
    assert intents == [plain_intent(intent)]
    assert len(text.encode()) <= answer.max_bytes(items)
    assert accepts(answer.grammar(items), text)
    assert accepts(GRAMMAR, intents[0])
    assert 1 <= len(intents[0].split()) <= 8
    assert plain_intent(intents[0]) == intents[0]


@pytest.mark.parametrize(
    "intent", ["露营装备", "Набор для кемпинга", "معدات التخييم", "キャンプ 用品", "Tüv-geprüft & günstig"]
)
def test_intents_in_every_script_survive_to_the_byte(intent):
    answer = ListFormat(True)
    text = answer.render([[0, 1]], [intent], 3)
    assert text == f"[1, 2] {intent}"
    assert answer.parse(text, 3) == ([[0, 1]], [intent])
    assert accepts(answer.grammar(3), text)
    assert accepts(GRAMMAR, intent)


@pytest.mark.parametrize(
    ("intent", "plain"),
    [
        ("", "bought together"),
        (" \n\t ", "bought together"),
        ("[[]]{}<>", "bought together"),
        ("---", "bought together"),
        ("for a\nhike", "for a hike"),
        ('{"intent": "tea"}', '"intent": "tea"'),
        ("one two three four five six seven eight nine", "one two three four five six seven eight"),
        ("x" * 300, "x" * 24),
        ("<|im_end|>camping", "im_end camping"),
    ],
)
def test_an_intent_is_few_words_on_one_line(intent, plain):
    assert plain_intent(intent) == plain


@pytest.mark.parametrize("name, intents", [("list", False), ("list", True), ("labels", False)])
@pytest.mark.parametrize("items", [1, 2, 3, 6, 10])
def test_the_closed_world(name, intents, items):
    """Every target is in the grammar; every answer of the grammar parses, within its length, to bundles."""
    answer = FORMATS[name](intents)
    rng = random.Random(items)
    for _ in range(10):
        label = [rng.randrange(4) for _ in range(items)]
        groups = [[i for i in range(items) if label[i] == k] for k in range(1, 4)]
        groups = [group for group in groups if len(group) > 1]
        assert accepts(answer.grammar(items), answer.render(groups, ["some, intent"] * len(groups), items))
        text, tokens = random_answer(answer.grammar(items), rng)
        assert tokens <= answer.max_bytes(items)
        for group in answer.parse(text, items)[0]:
            assert len(group) > 1
            assert group == sorted(set(group))
            assert group[-1] < items


@pytest.mark.parametrize("text", ["[1]", "[2, 1]", "[1, 1]", "[1, 9]", "[0, 1]", "hello", "[1, 2] x\nfoo", ""])
def test_lists_outside_the_closed_world_do_not_parse(text):
    with pytest.raises(AnswerError):
        ListFormat(True).parse(text, 3)
    assert not accepts(ListFormat(True).grammar(3), text)


@pytest.mark.parametrize("text", ["1A 2- 3-", "1A 2A", "1A 2A 3A 4A", "2A 1A 3-", "1G 2G 3-", ""])
def test_labels_outside_the_closed_world_do_not_parse(text):
    with pytest.raises(AnswerError):
        ItemLabelFormat(False).parse(text, 3)
    assert not accepts(ItemLabelFormat(False).grammar(3), text)


def test_repair_reads_what_it_can():
    lists = ListFormat(True)
    assert lists.parse_leniently("Sure! (1 and 3) go together, and [2,3,77].", 3)[0] == [[0, 2], [1, 2]]
    assert lists.parse_leniently("Bundles: [1, 2], [2, 3] kits", 3)[0] == [[0, 1], [1, 2]]
    assert lists.parse_leniently("I cannot say", 3)[0] == []
    assert ItemLabelFormat(False).parse_leniently("1A, 2B, 3A and 9A", 3)[0] == [[0, 2]]


def test_an_item_in_two_bundles_keeps_its_first_label():
    text = ItemLabelFormat(False).render([[0, 1], [1, 2], [1, 2, 3]], [""] * 3, 4)
    assert text == "1A 2A 3B 4B"


def test_more_bundles_than_letters():
    items = 2 * len(LETTERS) + 2
    groups = [[i, i + 1] for i in range(0, items, 2)]
    text = ItemLabelFormat(False).render(groups, [""] * len(groups), items)
    assert len(ItemLabelFormat(False).parse(text, items)[0]) == len(LETTERS)


def test_unknown_format():
    from kdb.student.config import MethodConfig
    from kdb.student.methods.build import answer_class

    with pytest.raises(UsageError, match=r"'label' does not exist \(did you mean 'labels'\? one of: .*list"):
        answer_class(MethodConfig(answer="label"))
