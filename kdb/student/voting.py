"""Several answers about one session, and the one of them that the others agree with most."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from kdb.conversation import Question
from kdb.decoding import risk
from kdb.records import Usage
from kdb.scoring.metrics import matched_f1
from kdb.student.decision import Decision


def poll(question: Question, samples: int, seed: int) -> list[Question]:
    """The question so many times: as it is, then with its items in other orders, each drawn by the seed.

    The first MOST_ITEMS stay the first, because some rules read no more.
    """
    found = [question]
    for draw in range(1, samples):
        rng = random.Random(f"{seed}:{draw}:{[item.id for item in question.items]}")
        head, rest = question.items[: risk.MOST_ITEMS], question.items[risk.MOST_ITEMS :]
        rng.shuffle(head)
        found.append(replace(question, items=[*head, *rest], draw=draw))
    return found


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
