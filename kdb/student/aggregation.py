"""Several answers about one session, and what they agree on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

from msgspec import structs

from kdb.evaluation.matched_session import matched_f1
from kdb.partitions import mbr
from kdb.prompts.messages import Query
from kdb.records import Bundle, Prediction, Usage
from kdb.student.generation_config import Aggregation


def permutations(query: Query, samples: int, seed: int) -> list[Query]:
    """The query so many times: as it is, then with its items in other orders, each drawn by the seed.

    The first MAX_ITEMS stay the first, because some methods read no more.
    """
    found = [query]
    for draw in range(1, samples):
        rng = random.Random(f"{seed}:{draw}:{[item.id for item in query.items]}")
        head, rest = query.items[: mbr.MAX_ITEMS], query.items[mbr.MAX_ITEMS :]
        rng.shuffle(head)
        found.append(replace(query, items=[*head, *rest], draw=draw))
    return found


def aggregate(predictions: Sequence[Prediction], by: Aggregation) -> Prediction:
    """What the answers about one session come to; it carries the usage of all.

    `answer`: the one that the others agree with most (see `medoid`). `bundles`: each bundle that more than half of
    them name. `pairs`: items are together if they are so in more than half, or if others link them. Where no bundle
    comes of that, it is `answer` again.

    A bundle's probability is the share of several answers that have it within a bundle (the consistency of Wang et
    al., arXiv 2203.11171, section 3.2). It is not calibrated. One answer alone gives none.
    """
    chosen = medoid(predictions)
    answers = [[bundle.items for bundle in one.bundles] for one in predictions]
    bundles = chosen.bundles if by == "answer" else _majority(predictions, answers, by) or chosen.bundles
    if len(predictions) > 1:
        bundles = [structs.replace(own, probability=agreement(own.items, answers)) for own in bundles]
    return structs.replace(chosen, bundles=bundles)


def agreement(items: Sequence[str], answers: Sequence[Sequence[Sequence[str]]]) -> float:
    """The share of answers that have these items within one bundle."""
    return sum(any(set(items) <= set(own) for own in answer) for answer in answers) / len(answers)


def _majority(
    predictions: Sequence[Prediction], answers: Sequence[Sequence[Sequence[str]]], by: Aggregation
) -> list[Bundle]:
    found = majority_bundles(answers) if by == "bundles" else majority_pairs(answers)
    intents = {frozenset(own.items): own.intent for one in reversed(predictions) for own in one.bundles}
    return [Bundle(own, intents.get(frozenset(own), "")) for own in found]


def majority_bundles(answers: Sequence[Sequence[Sequence[str]]]) -> list[list[str]]:
    """The bundles in more than half of the answers, whatever the order of their items; first named, first."""
    first = {frozenset(own): list(own) for answer in reversed(answers) for own in reversed(answer)}
    counts = Counter(own for answer in answers for own in {frozenset(own) for own in answer})
    order = dict.fromkeys(frozenset(own) for answer in answers for own in answer)
    return [first[own] for own in order if 2 * counts[own] > len(answers)]


def majority_pairs(answers: Sequence[Sequence[Sequence[str]]]) -> list[list[str]]:
    """Items linked by pairs that share a bundle in more than half of the answers; in the order of first mention."""
    from scipy.cluster.hierarchy import DisjointSet

    items = list(dict.fromkeys(item for answer in answers for own in answer for item in own))
    counts = Counter(
        pair for answer in answers for pair in {frozenset(two) for own in answer for two in combinations(own, 2)}
    )
    groups = DisjointSet(items)
    for pair, count in counts.items():
        if 2 * count > len(answers):
            groups.merge(*pair)
    place = {item: n for n, item in enumerate(items)}
    found = [sorted(own, key=place.__getitem__) for own in groups.subsets() if len(own) > 1]
    return sorted(found, key=lambda own: place[own[0]])


def medoid(predictions: Sequence[Prediction]) -> Prediction:
    """The answer with the largest mean matched F1 with all, the first of equals; it carries the usage of all.

    Minimum Bayes risk decoding (Kumar and Byrne, 2004): were each answer as likely to be true as any other, no
    other answer would score better. A vote on each pair of items could end in bundles that nobody said.
    """
    answers = [[bundle.items for bundle in one.bundles] for one in predictions]
    utilities = [sum(matched_f1(own, other) for other in answers) for own in answers]
    chosen = predictions[utilities.index(max(utilities))]
    return structs.replace(chosen, usage=total(one.usage for one in predictions))


def total(usages: Iterable[Usage]) -> Usage:
    """The tokens and the money of all."""
    found = Usage()
    for usage in usages:
        found.prompt_tokens += usage.prompt_tokens
        found.completion_tokens += usage.completion_tokens
        if usage.cost is not None:
            found.cost = (found.cost or 0.0) + usage.cost
    return found
