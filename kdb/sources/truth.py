"""The truth that predictions are measured against."""

from __future__ import annotations

from collections.abc import Sequence

from kdb.records import Bundle


def minimal(bundles: Sequence[Bundle]) -> list[Bundle]:
    """The bundles without those that repeat an earlier one or contain another one; order and intents stay.

    This is the ground truth of the AICL code (arXiv 2312.16262).
    """
    sets = [frozenset(bundle.items) for bundle in bundles]
    return [
        bundle
        for n, bundle in enumerate(bundles)
        if sets[n] not in sets[:n] and not any(other < sets[n] for other in sets)
    ]
