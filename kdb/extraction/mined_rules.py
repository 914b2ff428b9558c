"""Rules as the annotations amount to them: mined from the bundles, with what they measure.

They are a baseline for the rules of real teachers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from kdb.io.provenance import content_hash
from kdb.prompts import sanitized
from kdb.records import ANNOTATIONS, Knowledge, Session, Source
from kdb.retrieval.association_rules import MIN_BUNDLES, MiningConfig, Path, mine, transactions

APART = 0.8
"""Categories do not belong together where so large a share of the sessions with both keep them apart."""

MINING = MiningConfig(level=4, min_support=0.005, min_confidence=0.2, max_size=3)
"""As `kdb extract pattern` mines by default."""


def _name(path: Path) -> str:
    """The last two names of a category: the last alone is often "Accessories"."""
    return f'"{sanitized(" > ".join(path[-2:]))}"'


def rules(domain: str, sessions: Sequence[Session], mining: MiningConfig = MINING) -> Iterator[Knowledge]:
    """The rules of one domain: what is bundled, by falling confidence, then what is kept apart."""
    bundles = [bundle for session in sessions for bundle in transactions(session, mining.level)]
    for pattern in mine(domain, bundles, mining):
        yield _rule(pattern, f"Bundle what goes together: b{pattern.text[1:]}")
    yield from _apart(domain, sessions, mining)


def _apart(domain: str, sessions: Sequence[Session], mining: MiningConfig) -> Iterator[Knowledge]:
    """What speaks against bundling: categories that meet in sessions and hardly ever in a bundle of theirs.

    Only items with a category are counted, and in the public data these are the items of some bundle.
    """
    met: dict[tuple[Path, Path], list[str]] = {}
    joined: Counter[tuple[Path, Path]] = Counter()
    for session in sessions:
        pairs, bundled = _pairs(session, mining.level)
        for pair in sorted(pairs):
            met.setdefault(pair, []).append(session.id)
        joined.update(bundled)
    fewest = max(MIN_BUNDLES + 1, mining.min_support * len(sessions))
    share = 1 - sum(joined.values()) / max(sum(map(len, met.values())), 1)
    found = [(1 - joined[pair] / len(ids), pair) for pair, ids in met.items() if len(ids) >= fewest]
    for confidence, pair in sorted(found, key=lambda entry: (-entry[0], -len(met[entry[1]]), entry[1])):
        if confidence >= APART and confidence > share:
            yield _against(domain, pair, met[pair], joined[pair], len(sessions), confidence / share)


def _pairs(session: Session, level: int) -> tuple[set[tuple[Path, Path]], set[tuple[Path, Path]]]:
    """The pairs of categories that meet in a session, and those of them that meet in one of its bundles."""
    categories = {item.id: item.category_path(level) for item in session.items}

    def pairs(items: list[str]) -> set[tuple[Path, Path]]:
        paths = sorted(path for i in items if (path := categories[i]))
        return set(combinations(paths, 2))

    bundled = {pair for bundle in session.truth or [] for pair in pairs(bundle.items)}
    return pairs(list(categories)), bundled


def _against(
    domain: str, pair: tuple[Path, Path], ids: list[str], joined: int, sessions: int, lift: float
) -> Knowledge:
    kinds = " and ".join(_name(path) for path in pair) if pair[0] != pair[1] else f"two of {_name(pair[0])}"
    apart = len(ids) - joined
    rule = Knowledge(
        id="",
        format="rule",
        domain=domain,
        text=f"Do not bundle {kinds} only because they are seen together: {apart} of {len(ids)} sessions "
        f"keep them apart ({100 * apart / len(ids):.0f} %).",
        source=Source(sessions=ids),
        support=round(len(ids) / sessions, 6),
        confidence=round(apart / len(ids), 6),
        lift=round(lift, 6),
        count=apart,
        antecedent=[" > ".join(path) for path in pair],
    )
    return _rule(rule, rule.text)


def _rule(knowledge: Knowledge, text: str) -> Knowledge:
    """Mined knowledge as a rule of this teacher."""
    knowledge.format, knowledge.text, knowledge.teacher, knowledge.id = "rule", text, ANNOTATIONS, ""
    knowledge.id = content_hash(knowledge)
    return knowledge
