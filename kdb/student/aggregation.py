"""Several answers about one session, and what they agree on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

from kdb.evaluation.matched_session import matched_f1
from kdb.partitions import mbr
from kdb.prompts.messages import Query
from kdb.records import Bundle, Usage
from kdb.student.config import Aggregation
from kdb.student.methods.method import Decision


def permutations(question: Query, samples: int, seed: int) -> list[Query]:
    """The question so many times: as it is, then with its items in other orders, each drawn by the seed.

    The first MAX_ITEMS stay the first, because some rules read no more.
    """
    found = [question]
    for draw in range(1, samples):
        rng = random.Random(f"{seed}:{draw}:{[item.id for item in question.items]}")
        head, rest = question.items[: mbr.MAX_ITEMS], question.items[mbr.MAX_ITEMS :]
        rng.shuffle(head)
        found.append(replace(question, items=[*head, *rest], draw=draw))
    return found


def aggregate(decisions: Sequence[Decision], vote: Aggregation) -> Decision:
    """What the answers to a poll come to; the decision carries the usage of all.

    `answer`: the one that the others agree with most (see `medoid`). `bundles`: each bundle that more than half of
    them name. `pairs`: items are together if they are so in more than half, or if others link them. Where no bundle
    comes of that, it is `answer` again.
    """
    chosen = medoid(decisions)
    if vote == "answer":
        return chosen
    said = [[bundle.items for bundle in decision.bundles] for decision in decisions]
    found = majority_bundles(said) if vote == "bundles" else majority_pairs(said)
    intents = {frozenset(own.items): own.intent for decision in reversed(decisions) for own in decision.bundles}
    bundles = [Bundle(own, intents.get(frozenset(own), "")) for own in found]
    return replace(chosen, bundles=bundles or chosen.bundles)


def majority_bundles(said: Sequence[Sequence[Sequence[str]]]) -> list[list[str]]:
    """The bundles in more than half of the answers, whatever the order of their items; first named, first."""
    first = {frozenset(own): list(own) for answer in reversed(said) for own in reversed(answer)}
    counts = Counter(own for answer in said for own in {frozenset(own) for own in answer})
    order = dict.fromkeys(frozenset(own) for answer in said for own in answer)
    return [first[own] for own in order if 2 * counts[own] > len(said)]


def majority_pairs(said: Sequence[Sequence[Sequence[str]]]) -> list[list[str]]:
    """Items linked by pairs that share a bundle in more than half of the answers; in the order of first mention."""
    from scipy.cluster.hierarchy import DisjointSet

    items = list(dict.fromkeys(item for answer in said for own in answer for item in own))
    counts = Counter(
        pair for answer in said for pair in {frozenset(two) for own in answer for two in combinations(own, 2)}
    )
    groups = DisjointSet(items)
    for pair, count in counts.items():
        if 2 * count > len(said):
            groups.merge(*pair)
    place = {item: n for n, item in enumerate(items)}
    found = [sorted(own, key=place.__getitem__) for own in groups.subsets() if len(own) > 1]
    return sorted(found, key=lambda own: place[own[0]])


def medoid(decisions: Sequence[Decision]) -> Decision:
    """The decision with the largest mean matched F1 with all, the first of equals; it carries the usage of all.

    Minimum Bayes risk decoding (Kumar and Byrne, 2004): were each answer as likely to be true as any other, no
    other answer would score better. A vote on each pair of items could end in bundles that nobody said.
    """
    said = [[bundle.items for bundle in decision.bundles] for decision in decisions]
    worth = [sum(matched_f1(own, other) for other in said) for own in said]
    return replace(decisions[worth.index(max(worth))], usage=total(decision.usage for decision in decisions))


def total(usages: Iterable[Usage]) -> Usage:
    """The tokens and the money of all."""
    found = Usage()
    for usage in usages:
        found.prompt_tokens += usage.prompt_tokens
        found.completion_tokens += usage.completion_tokens
        if usage.cost is not None:
            found.cost = (found.cost or 0.0) + usage.cost
    return found
