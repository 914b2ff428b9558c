"""Mines patterns from the training sessions of a stream and adds them after its last line.

Domains are mined apart. Validation sessions pass through unmined; a test session ends the run, because it
cannot measure what was mined from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kdb import console
from kdb.extraction.itemsets import Engine, frequent
from kdb.extraction.patterns import CategoryInstance, MiningConfig, Transaction, mine, transactions
from kdb.records import Knowledge, Session
from kdb.stream import Line

KINDS = ("session",)


def run(
    lines: Iterable[Line],
    mining: MiningConfig,
    allow_test: bool = False,
    engine: Engine[CategoryInstance] = frequent,
) -> Iterator[Line | Knowledge]:
    """All lines as they came, then the patterns of each domain, in the order in which the domains came."""
    domains: dict[str, list[Transaction]] = {}
    for line in lines:
        session = line.record
        if isinstance(session, Session) and session.split != "validation":
            if session.split == "test" and not allow_test:
                raise line.error(
                    f"session {session.id!r} is of the test split",
                    "pass on only training sessions, or --allow-test to mine it all the same",
                )
            domains.setdefault(session.domain, []).extend(transactions(session, mining.level))
        yield line
    if not domains:
        console.warn("no session to mine in the input")
    for domain, bundles in domains.items():
        patterns = mine(domain, bundles, mining, engine)
        console.say(f"{domain}: {len(patterns)} patterns from {len(bundles)} bundles with categories")
        yield from patterns
