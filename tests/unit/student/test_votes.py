"""Several answers about one session: asked in other orders or drawn, and what is made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.shop import TRAINING

from kdb.prompts.messages import Demo, PromptContext, Query
from kdb.records import Bundle, Usage
from kdb.student.aggregation import aggregate, medoid, permutations
from kdb.student.config import StudentConfig
from kdb.student.methods.method import Decision


def decision(*bundles: list[str], tokens: int = 1) -> Decision:
    return Decision([Bundle(own) for own in bundles], usage=Usage(tokens, tokens))


def test_the_answer_that_agrees_most_with_the_others_is_taken() -> None:
    said = [decision(["a", "b"]), decision(["x", "y"]), decision(["a", "b", "c"]), decision(["a", "b"], ["d", "e"])]
    chosen = medoid(said)
    assert [b.items for b in chosen.bundles] == [["a", "b"]]
    assert chosen.usage == Usage(4, 4)
    assert medoid([decision(), decision(), decision(["a", "b"])]).bundles == []


def test_bundles_in_most_answers_are_kept() -> None:
    said = [decision(["a", "b"], ["c", "d"]), decision(["b", "a"], ["d", "e"]), decision(["a", "c"], ["d", "c"])]
    chosen = aggregate(said, "bundles")
    assert [b.items for b in chosen.bundles] == [["a", "b"], ["c", "d"]]
    assert chosen.usage == Usage(3, 3)


def test_pairs_in_most_answers_are_linked() -> None:
    said = [decision(["x", "a", "b"]), decision(["b", "c"], ["y", "z"]), decision(["c", "b", "a"])]
    assert [b.items for b in aggregate(said, "pairs").bundles] == [["a", "b", "c"]]
    assert [b.items for b in aggregate(said[:2], "bundles").bundles] == [["x", "a", "b"]]  # no majority: the medoid


@given(st.lists(st.lists(st.sets(st.integers(0, 6), min_size=2), max_size=3), min_size=1, max_size=5))
def test_a_vote_keeps_what_all_say_and_nothing_that_nobody_says(said) -> None:
    polled = [decision(*(sorted(map(str, own)) for own in answer)) for answer in said]
    sets = [{frozenset(map(str, own)) for own in answer} for answer in said]
    found = {frozenset(own.items) for own in aggregate(polled, "bundles").bundles}
    assert set.intersection(*sets) <= found <= set.union(*sets)
    for own in (frozenset(own.items) for own in aggregate(polled, "pairs").bundles):
        assert all(any({item} < other for other in set.union(*sets)) for item in own)
    for vote in ("answer", "bundles", "pairs"):
        assert aggregate(polled[:1] * 3, vote).bundles == aggregate(polled[:1], vote).bundles


def test_a_poll_shows_other_orders_of_the_same_items() -> None:
    question = Query(TRAINING[7].items, PromptContext([Demo(TRAINING[1])]))
    asked = permutations(question, 5, seed=3)
    assert asked[0] == question
    assert asked == permutations(question, 5, seed=3)
    assert len({tuple(item.id for item in own.items) for own in asked}) > 2
    assert {frozenset(item.id for item in own.items) for own in asked} == {frozenset(i.id for i in question.items)}
    assert asked != permutations(question, 5, seed=4)


def test_what_is_heard_in_one_order_is_brought_into_another() -> None:
    import numpy as np

    from kdb.student.methods.pair_prompts import EncodedQuery, reorder

    items = TRAINING[7].items
    odds = np.arange(36, dtype=np.float32).reshape(6, 6)
    turned = reorder(EncodedQuery(items), odds, EncodedQuery(items[::-1]))
    assert (turned == odds[::-1, ::-1]).all()


def test_pairs_average_over_orders(student) -> None:
    import numpy as np

    from kdb.prompts.messages import LabelledQuery
    from kdb.student.methods.pair_prompts import log_odds, reorder
    from kdb.student.methods.pairs import PairMethod

    rule = PairMethod(student, "f1", use_evidence=False, max_prompt_tokens=2048)
    rule.learn(TRAINING[:8], [LabelledQuery(Query(s.items), s.truth) for s in TRAINING[8:14]], 8)
    question = Query(TRAINING[23].items)
    asked = permutations(question, 3, seed=0)
    known = [rule._rows.fitted(own) for own in asked]
    heard = log_odds(student, rule._rows, known, 8)
    mean = np.mean([reorder(one, (own + own.T) / 2, known[0]) for one, own in zip(known, heard, strict=True)], 0)
    (voted,) = rule.vote([asked], 8)
    said = [float(value) for value in voted.raw.split()]
    assert said == pytest.approx(mean[np.triu_indices(len(question.items), 1)].tolist(), abs=0.01)
    (alone,) = rule.decide([question], 8)
    assert alone.raw != voted.raw
    assert voted.usage.prompt_tokens == 3 * alone.usage.prompt_tokens


def test_draws_do_not_depend_on_the_batch(student) -> None:
    from kdb.student.methods.build import InferenceConfig, build_method

    rule = build_method(student, StudentConfig(answer="labels"), InferenceConfig(2048, temperature=0.9, seed=5))
    polls = [permutations(Query(s.items), 3, seed=5) for s in TRAINING[:5]]
    together, apart = rule.vote(polls, 16), rule.vote(polls, 2)
    assert [d.raw for d in together] == [d.raw for d in apart]
    other = build_method(student, StudentConfig(answer="labels"), InferenceConfig(2048, temperature=0.9, seed=6))
    assert [d.raw for d in other.vote(polls, 16)] != [d.raw for d in together]


def test_draws_follow_the_model(student) -> None:
    """Gumbel noise on the logits draws each token as often as the softmax at this temperature says."""
    import torch

    from kdb.student.generate import Generator, SamplingConfig

    prompt = student.tokenizer("a red kettle").input_ids
    grammar = 'root ::= "A" | "B" | "-"'
    options = [student.tokenizer(text).input_ids[0] for text in "AB-"]
    with torch.inference_mode():
        logits = student.model(torch.tensor([prompt])).logits[0, -1, options].float()
    wanted = torch.softmax(logits / 2.0, 0)
    chance = SamplingConfig(2.0, [str(n) for n in range(400)])
    made = Generator(student).generate([prompt] * 400, [grammar] * 400, 3, chance)
    found = [sum(own.text == text for own in made) / 400 for text in "AB-"]
    assert found == pytest.approx(wanted.tolist(), abs=0.09)
