"""What a rule is worth: how often its condition applies to training sessions, and how often it is right there.

The condition of a rule are pairs of categories. A mined rule states them; in the text of another one they are the
categories that it names. The rule applies to each pair of items of these categories in an annotated session: advice
is right where the two share a true bundle, a warning where they do not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from msgspec import UNSET, UnsetType

from kdb.extraction.rule_merging import is_negative
from kdb.records import Knowledge, Session
from kdb.retrieval.association_rules import SEPARATOR

LEVEL = 4
"""How many names of a category path make a category, as rules are mined by default."""
MAX_ITEMS = 200
"""Of a longer session only so many items are paired, so that the work is bounded."""

Pair = tuple[str, str]


@dataclass
class PairCounts:
    """For each pair of categories, how often items of them meet in sessions, and how often in a true bundle."""

    met: Counter[Pair] = field(default_factory=Counter)
    bundled: Counter[Pair] = field(default_factory=Counter)
    sessions: int = 0

    @classmethod
    def of(cls, sessions: Iterable[Session], level: int = LEVEL) -> PairCounts:
        """Counted over annotated sessions; items without a category are not counted."""
        counts = cls()
        for session in sessions:
            counts.sessions += 1
            paths = {item.id: item.category_path(level) for item in session.items[:MAX_ITEMS]}
            named = {i: SEPARATOR.join(path) for i, path in paths.items() if path}
            together = {pair for b in session.truth or [] for pair in combinations(sorted(b.items), 2)}
            for pair in combinations(sorted(named), 2):
                categories = _pair(named[pair[0]], named[pair[1]])
                counts.met[categories] += 1
                counts.bundled[categories] += pair in together
        return counts

    @property
    def share(self) -> float:
        """The share of all pairs of items that share a bundle: what advice is right about by chance."""
        return self.bundled.total() / self.met.total() if self.met else 0.0


def measured(rules: Sequence[Knowledge], sessions: Sequence[Session]) -> tuple[list[Knowledge], int]:
    """The rules with their value, without those that are right no more often than chance; how many those are.

    A rule gets `applied`, `violations` and `value`: how many more pairs it is right about than chance would be, per
    session. A rule that names no two categories, or whose categories never meet, stays as it is.
    """
    counts = PairCounts.of(sessions)
    names = _by_name({category for pair in counts.met for category in pair})
    kept = []
    for rule in rules:
        pairs = _condition(rule, names)
        applied = sum(counts.met[pair] for pair in pairs)
        if not applied:
            kept.append(rule)
            continue
        bundled = sum(counts.bundled[pair] for pair in pairs)
        negative = is_negative(rule.text)
        right, chance = (applied - bundled, 1 - counts.share) if negative else (bundled, counts.share)
        rule.applied, rule.violations = applied, applied - right
        rule.value = round((right - chance * applied) / counts.sessions, 6)
        if rule.value > 0:
            kept.append(rule)
    left = {rule.id for rule in kept}
    for rule in kept:
        if not isinstance(rule.contradicts, UnsetType):
            rule.contradicts = [i for i in rule.contradicts if i in left] or UNSET
    return kept, len(rules) - len(kept)


def _pair(one: str, other: str) -> Pair:
    return (one, other) if one <= other else (other, one)


def _by_name(categories: Iterable[str]) -> dict[str, str]:
    """The categories by their last name in small letters, if no other one has it."""
    last = {category: category.rpartition(SEPARATOR)[2].casefold() for category in categories}
    counts = Counter(last.values())
    return {name: category for category, name in last.items() if counts[name] == 1}


def _condition(rule: Knowledge, names: dict[str, str]) -> set[Pair]:
    """The pairs of categories that a rule is about."""
    one, other = ([] if isinstance(side, UnsetType) else side for side in (rule.antecedent, rule.consequent))
    if one or other:
        return {_pair(a, b) for a in one for b in other} if other else {_pair(*p) for p in combinations(one, 2)}
    text = rule.text.casefold()
    named = sorted(c for name, c in names.items() if re.search(rf"\b{re.escape(name.removesuffix('s'))}s?\b", text))
    return {_pair(a, b) for a, b in combinations(named, 2)}
