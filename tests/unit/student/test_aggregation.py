"""Several answers about one session: asked in other orders or drawn, and what is made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.shop import TRAINING

from kdb.prompts.messages import Demo, PromptContext, Query
from kdb.records import Bundle, Prediction, Usage
from kdb.student.aggregation import aggregate, medoid, permutations
from kdb.student.config import MethodConfig, StudentConfig
from kdb.student.generation_config import GenerationConfig


def answer(*bundles: list[str], tokens: int = 1) -> Prediction:
    found = [Bundle(own) for own in bundles]
    return Prediction(
        id="1", domain="d", items=["a"], bundles=found, status="ok", run="", usage=Usage(tokens, tokens)
    )


def test_the_answer_that_agrees_most_with_the_others_is_taken() -> None:
    said = [answer(["a", "b"]), answer(["x", "y"]), answer(["a", "b", "c"]), answer(["a", "b"], ["d", "e"])]
    chosen = medoid(said)
    assert [b.items for b in chosen.bundles] == [["a", "b"]]
    assert chosen.usage == Usage(4, 4)
    assert medoid([answer(), answer(), answer(["a", "b"])]).bundles == []


def test_bundles_in_most_answers_are_kept() -> None:
    said = [answer(["a", "b"], ["c", "d"]), answer(["b", "a"], ["d", "e"]), answer(["a", "c"], ["d", "c"])]
    chosen = aggregate(said, "bundles")
    assert [b.items for b in chosen.bundles] == [["a", "b"], ["c", "d"]]
    assert chosen.usage == Usage(3, 3)


def test_a_bundle_is_as_probable_as_answers_agree_on_it() -> None:
    said = [answer(["a", "b"], ["c", "d"]), answer(["b", "a", "e"]), answer(["b", "a"], ["d", "e"]), answer()]
    for vote in ("answer", "bundles"):
        (probability,) = [b.probability for b in aggregate(said, vote).bundles if b.items == ["a", "b"]]
        assert probability == 0.75
    assert aggregate(said[:1], "answer").bundles == said[0].bundles


def test_pairs_in_most_answers_are_linked() -> None:
    said = [answer(["x", "a", "b"]), answer(["b", "c"], ["y", "z"]), answer(["c", "b", "a"])]
    assert [b.items for b in aggregate(said, "pairs").bundles] == [["a", "b", "c"]]
    assert [b.items for b in aggregate(said[:2], "bundles").bundles] == [["x", "a", "b"]]  # no majority: the medoid


@given(st.lists(st.lists(st.sets(st.integers(0, 6), min_size=2), max_size=3), min_size=1, max_size=5))
def test_a_vote_keeps_what_all_say_and_nothing_that_nobody_says(said) -> None:
    polled = [answer(*(sorted(map(str, own)) for own in its)) for its in said]
    sets = [{frozenset(map(str, own)) for own in its} for its in said]
    found = {frozenset(own.items) for own in aggregate(polled, "bundles").bundles}
    assert set.intersection(*sets) <= found <= set.union(*sets)
    for own in (frozenset(own.items) for own in aggregate(polled, "pairs").bundles):
        assert all(any({item} < other for other in set.union(*sets)) for item in own)
    for vote in ("answer", "bundles", "pairs"):
        thrice, once = (aggregate(polled[:1] * count, vote).bundles for count in (3, 1))
        assert [own.items for own in thrice] == [own.items for own in once]
        assert vote == "pairs" or all(own.probability == 1 for own in thrice)


def test_a_poll_shows_other_orders_of_the_same_items() -> None:
    question = Query(TRAINING[7], PromptContext([Demo(TRAINING[1])]))
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
    query, turned_query = (EncodedQuery(own, [], PromptContext()) for own in (items, items[::-1]))
    turned = reorder(query, odds, turned_query)
    assert (turned == odds[::-1, ::-1]).all()


def test_pairs_average_over_orders(student) -> None:
    import numpy as np

    from kdb.student.methods.build import build_method

    method = build_method(student, StudentConfig(method=MethodConfig(answer="pair-prompts", pair_features=False)))
    known = [Query(session) for session in TRAINING[8:14]]
    method.fit(TRAINING[:8], known, method.read(known, 8))
    queries = permutations(Query(TRAINING[23]), 3, seed=0)
    read = method.read(queries, 8)
    first = [item.id for item in queries[0].items]
    turned = []
    for query, odds in zip(queries, read, strict=True):
        order = [[item.id for item in query.items].index(name) for name in first]
        turned.append(odds[np.ix_(order, order)])
    mean = np.mean(turned, 0)
    (together,) = method.predict([queries], 8)
    said = [float(value) for value in together.raw.split()]
    assert said == pytest.approx(mean[np.triu_indices(len(first), 1)].tolist(), abs=0.01)
    (alone,) = method.predict([queries[:1]], 8)
    assert alone.raw != together.raw
    assert together.usage.prompt_tokens == 3 * alone.usage.prompt_tokens


def test_draws_do_not_depend_on_the_batch(student) -> None:
    from kdb.student.methods.build import build_method

    config = StudentConfig(method=MethodConfig(answer="labels"))
    method = build_method(student, config, GenerationConfig(temperature=0.9, seed=5))
    queries = [permutations(Query(s), 3, seed=5) for s in TRAINING[:5]]
    together, apart = method.predict(queries, 16), method.predict(queries, 2)
    assert [d.raw for d in together] == [d.raw for d in apart]
    other = build_method(student, config, GenerationConfig(temperature=0.9, seed=6))
    assert [d.raw for d in other.predict(queries, 16)] != [d.raw for d in together]


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
    sampling = SamplingConfig(2.0, [str(n) for n in range(400)])
    made = Generator(student).generate([prompt] * 400, [grammar] * 400, 3, sampling)
    found = [sum(own.text == text for own in made) / 400 for text in "AB-"]
    assert found == pytest.approx(wanted.tolist(), abs=0.09)
