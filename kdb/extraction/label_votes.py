"""Several answers about one session, checked against its items, and what they agree on.

Two answers agree by the F1 of the pairs of items that they put into one bundle. The confidence in a session's label
is the mean agreement of all pairs of answers; its bundles are those of the answer that agrees most with the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from kdb import prompts
from kdb.evaluation.matched_session import bundle_sets, co_bundled
from kdb.extraction.attempts import read_attempt
from kdb.records import Bundle, Session
from kdb.teacher.answer_check import is_refusal

MAX_INTENT_WORDS, MAX_INTENT_CHARACTERS = 12, 120
"""A longer text is no intent; in scripts without blanks only the characters count."""
MIN_TITLE_WORDS = 4
"""A part of a title of so many words is a repetition of the title."""

Pairs = set[tuple[str, str]]


@dataclass(frozen=True)
class Consensus:
    """What several answers say together: the bundles of the most central one, and how far the others agree.

    `confidence` is None where there is one answer alone. `pair_shares` holds for each pair of items that shares a
    bundle in some answer the share of the answers in which it does.
    """

    bundles: list[Bundle]
    confidence: float | None
    pair_shares: dict[tuple[str, str], float]


def read(text: str, shown: Session, faults: Counter[str]) -> list[Bundle] | None:
    """The bundles in an answer about a session as it was shown; None where it cannot be read.

    What does not fit the session's items is left out, and counted in `faults` by reason.
    """
    attempt = read_attempt(text)
    if attempt is None:
        faults["answers that cannot be read"] += 1
        return None
    bundles: list[Bundle] = []
    for stated in attempt.bundles:
        numbers = [n for n in stated.products if 1 <= n <= len(shown.items)]
        distinct = sorted(set(numbers))
        faults["unknown products"] += len(stated.products) - len(numbers)
        faults["repeated products"] += len(numbers) - len(distinct)
        items = [shown.items[n - 1] for n in distinct]
        if len(items) < 2:
            faults["bundles of less than two products"] += 1
        elif any(set(bundle.items) == {item.id for item in items} for bundle in bundles):
            faults["repeated bundles"] += 1
        else:
            intent, fault = read_intent(stated.intent, [item.title for item in items])
            faults[f"intents {fault}"] += bool(fault)
            bundles.append(Bundle([item.id for item in items], intent))
    return bundles


def read_intent(text: str, titles: Sequence[str]) -> tuple[str, str]:
    """An intent as it may stand in a label, and no fault; or nothing, and what is wrong with the text."""
    intent = prompts.sanitized(text, 8 * MAX_INTENT_CHARACTERS)
    plain, names = intent.casefold(), [prompts.sanitized(title, 1000).casefold() for title in titles]
    if not any(character.isalpha() for character in intent):
        return "", "that are empty"
    if "{" in intent or "}" in intent:
        return "", "that are JSON"
    if is_refusal(intent):
        return "", "that are a refusal"
    is_part = len(plain.split()) >= MIN_TITLE_WORDS and any(plain in name for name in names)
    if is_part or any(name in plain for name in names if name):
        return "", "that repeat titles"
    if len(intent.split()) > MAX_INTENT_WORDS or len(intent) > MAX_INTENT_CHARACTERS:
        return "", "that are too long"
    return intent, ""


def consensus(samples: Sequence[list[Bundle]]) -> Consensus:
    """What the answers (one or more) say together; each bundle with the mean share of its pairs of items."""
    said = [co_bundled(bundle_sets(bundle.items for bundle in bundles)) for bundles in samples]
    counts = Counter(pair for pairs in said for pair in pairs)
    shares = {pair: round(count / len(said), 6) for pair, count in sorted(counts.items())}
    agreements = {(a, b): agreement(said[a], said[b]) for a, b in combinations(range(len(said)), 2)}

    def centrality(n: int) -> float:
        return round(sum(value for pair, value in agreements.items() if n in pair), 9)

    central = max(range(len(said)), key=centrality)  # the first of equals
    bundles = [Bundle(b.items, b.intent, _probability(b, shares)) for b in samples[central]]
    confidence = round(sum(agreements.values()) / len(agreements), 6) if agreements else None
    return Consensus(bundles, confidence, shares)


def agreement(one: Pairs, other: Pairs) -> float:
    """The F1 of two sets of pairs; 1 where both are empty."""
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0


def _probability(bundle: Bundle, shares: dict[tuple[str, str], float]) -> float:
    own = [shares[pair] for pair in combinations(sorted(bundle.items), 2)]
    return round(sum(own) / len(own), 6)
