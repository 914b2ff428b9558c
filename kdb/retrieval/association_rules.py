"""Patterns: which categories are bought together, as association rules mined from annotated bundles.

Each bundle becomes a transaction of its products' categories. A bundle often holds several products of one
category, and a plain set would lose them (one in six of Electronic's bundles would shrink to one category):
the n-th product of a category is a thing of its own, two pairs of sandals are `(sandals, 1)`, `(sandals, 2)`.

The category of a product at level N is the first N names of its deepest category path, the first of these
if several are as deep: the other paths often name a shelf of the shop ("New Arrivals") and not the product.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

from kdb.io.provenance import content_hash
from kdb.prompts import sanitized
from kdb.records import Knowledge, Session, Source
from kdb.retrieval.itemsets import Engine, Itemsets, frequent

Path = tuple[str, ...]
CategoryInstance = tuple[Path, int]
"""The n-th product, counted from 1, of a category."""

SEPARATOR = " > "
MIN_BUNDLES = 2
"""What only one bundle shows is no pattern, however few bundles there are."""
ROUNDING = 1e-9
"""Without it 5 bundles of 25 would not always reach a confidence of 0.2, nor 7 of 100 a support of 0.07."""


@dataclass(frozen=True)
class MiningConfig:
    """What makes a pattern; `level` is a depth of category paths, `max_size` counts both sides of a rule."""

    level: int
    min_support: float
    min_confidence: float
    max_size: int


@dataclass(frozen=True)
class Transaction:
    """One bundle of a session as the things in it."""

    session: str
    things: frozenset[CategoryInstance]


@dataclass(frozen=True)
class AssociationRule:
    """Bundles with `antecedent` also hold `consequent`; `given`, `then`, `both` count the bundles that do."""

    antecedent: frozenset[CategoryInstance]
    consequent: frozenset[CategoryInstance]
    antecedent_count: int
    consequent_count: int
    joint_count: int

    @property
    def confidence(self) -> float:
        """The share of the bundles with the antecedent that hold the consequent too."""
        return self.joint_count / self.antecedent_count

    def lift(self, bundles: int) -> float:
        """How many times the confidence is the share of all `bundles` that hold the consequent."""
        return self.joint_count * bundles / (self.antecedent_count * self.consequent_count)


def transactions(session: Session, level: int) -> Iterator[Transaction]:
    """The session's true bundles as transactions; products without a category are not in them."""
    categories = {item.id: item.category_path(level) for item in session.items}
    for bundle in session.truth or []:
        counts = Counter(path for i in bundle.items if (path := categories[i]))
        things = frozenset((path, n) for path, count in counts.items() for n in range(1, count + 1))
        if things:
            yield Transaction(session.id, things)


def mine(
    domain: str, bundles: Sequence[Transaction], mining: MiningConfig, engine: Engine[CategoryInstance] = frequent
) -> list[Knowledge]:
    """The patterns of one domain, by falling confidence, then support, then text."""
    fewest = max(MIN_BUNDLES, math.ceil(mining.min_support * len(bundles) - ROUNDING))
    itemsets = engine([bundle.things for bundle in bundles], fewest, mining.max_size)
    # At a lift of 1 or below the categories avoid each other or do not care: nothing to teach.
    rules = [rule for rule in association_rules(itemsets, mining) if rule.lift(len(bundles)) > 1]
    names = _names(path for bundle in bundles for path, _ in bundle.things)
    found = [(rule, _sentence(rule, names)) for rule in rules]
    found.sort(key=lambda pair: (-pair[0].confidence, -pair[0].joint_count, pair[1]))
    holders = _holders(bundles, {thing for rule in rules for thing in rule.antecedent | rule.consequent})
    return [_knowledge(domain, rule, text, bundles, holders) for rule, text in found]


def association_rules(itemsets: Itemsets[CategoryInstance], mining: MiningConfig) -> Iterator[AssociationRule]:
    """Both sides of each frequent itemset, in every way that is sure enough and says something."""
    for things, both in itemsets.items():
        # A category's first product comes before its second: not "two sandals, so one sandal".
        if not _in_order(things):
            continue
        for side in chain.from_iterable(combinations(things, size) for size in range(1, len(things))):
            antecedent = frozenset(side)
            rule = AssociationRule(
                antecedent, things - antecedent, itemsets[antecedent], itemsets[things - antecedent], both
            )
            if rule.confidence >= mining.min_confidence - ROUNDING and _in_order(antecedent):
                yield rule


def _holders(bundles: Sequence[Transaction], things: set[CategoryInstance]) -> dict[CategoryInstance, set[int]]:
    """The bundles that hold each of the things."""
    holders: dict[CategoryInstance, set[int]] = {thing: set() for thing in things}
    for n, bundle in enumerate(bundles):
        for thing in bundle.things & things:
            holders[thing].add(n)
    return holders


def _in_order(things: frozenset[CategoryInstance]) -> bool:
    return all(n == 1 or (path, n - 1) in things for path, n in things)


def _knowledge(
    domain: str,
    rule: AssociationRule,
    text: str,
    bundles: Sequence[Transaction],
    holders: dict[CategoryInstance, set[int]],
) -> Knowledge:
    both = set.intersection(*(holders[thing] for thing in rule.antecedent | rule.consequent))
    pattern = Knowledge(
        id="",
        format="pattern",
        domain=domain,
        text=text,
        source=Source(sessions=list(dict.fromkeys(bundles[n].session for n in sorted(both)))),
        support=round(rule.joint_count / len(bundles), 6),
        confidence=round(rule.confidence, 6),
        lift=round(rule.lift(len(bundles)), 6),
        count=rule.joint_count,
        antecedent=sorted(SEPARATOR.join(path) for path, _ in rule.antecedent),
        consequent=sorted(SEPARATOR.join(path) for path, _ in rule.consequent),
    )
    pattern.id = content_hash(pattern)
    return pattern


def _sentence(rule: AssociationRule, names: dict[Path, str]) -> str:
    given = Counter(path for path, _ in rule.antecedent)
    then = Counter(path for path, _ in rule.consequent)
    known = " and ".join(_amount(n, names[path]) for path, n in sorted(given.items()))
    more = " and ".join(_amount(n, names[path], path in given) for path, n in sorted(then.items()))
    share = f"{rule.joint_count} of {rule.antecedent_count} ({100 * rule.confidence:.0f} %)"
    return f"Bundles with {known} also hold {more}: {share}."


def _amount(n: int, name: str, again: bool = False) -> str:
    if n == 1:
        return f"another of {name}" if again else name
    return f"{n} more of {name}" if again else f"{n} of {name}"


def _names(paths: Iterable[Path]) -> dict[Path, str]:
    """Each category's last name, after as many names before it as set it apart from all the others."""
    paths = set(paths)
    ends = Counter(path[-n:] for path in paths for n in range(1, len(path) + 1))

    def apart(path: Path) -> Path:
        return next((path[-n:] for n in range(1, len(path)) if ends[path[-n:]] == 1), path)

    return {path: f'"{sanitized(SEPARATOR.join(apart(path)))}"' for path in paths}
