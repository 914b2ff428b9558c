"""Sets that are nearly the same, by Jaccard similarity |a & b| / |a | b|."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import ceil


def representatives(sets: Sequence[Sequence[str]], threshold: float) -> list[int]:
    """For each set the index of the set that stands for it: itself, or an earlier one at least so similar.

    Sets are taken in order; one joins the most similar of those that stand for themselves (of equals the first), if
    that similarity is `threshold` or more. Two sets that similar share one of their rarest items, which is what is
    looked up (prefix filtering; Bayardo, Ma and Srikant, "Scaling Up All Pairs Similarity Search", WWW 2007).
    """
    counts = Counter(item for items in sets for item in items)
    holders: dict[str, list[int]] = defaultdict(list)
    found: list[int] = []
    for number, items in enumerate(sets):
        rare_first = sorted(items, key=lambda item: (counts[item], item))
        prefix = rare_first[: len(items) - ceil(threshold * len(items) - 1e-9) + 1]
        candidates = {other for item in prefix for other in holders[item]}
        own = set(items)
        best, nearest = max(
            ((jaccard(own, set(sets[other])), -other) for other in candidates), default=(0.0, -number)
        )
        if best >= threshold:
            found.append(-nearest)
            continue
        found.append(number)
        for item in prefix:
            holders[item].append(number)
    return found


def jaccard(one: set[str], other: set[str]) -> float:
    """How similar two sets are, from 0 to 1; two empty ones are the same."""
    union = len(one | other)
    return len(one & other) / union if union else 1.0
