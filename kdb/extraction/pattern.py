"""Patterns: which categories are bought together (see `kdb.retrieval.association_rules`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from kdb import console
from kdb.extraction.format import Format
from kdb.records import Knowledge, Session
from kdb.teacher import Sampling, Teacher

if TYPE_CHECKING:
    from kdb.retrieval.association_rules import Transaction


@dataclass(frozen=True)
class PatternConfig:
    """What makes a pattern."""

    level: Annotated[int, Meta(ge=1, description="How many names of a category path make a category.")] = 4
    min_support: Annotated[
        float,
        Meta(ge=0, le=1, description="The least share of a domain's bundles (and never below 2 of them)."),
    ] = 0.005
    min_confidence: Annotated[
        float,
        Meta(ge=0, le=1, description="The least share of the bundles with one side that hold the other."),
    ] = 0.2
    max_size: Annotated[int, Meta(ge=2, description="The most products in a pattern, both sides together.")] = 3
    spark: Annotated[
        str, Meta(description="Find frequent sets by Spark, whose master this is: local[*] or spark://HOST:7077.")
    ] = ""


class PatternFormat(Format["list[Transaction]"]):
    """Mine which categories are bought together: association rules over the categories of true bundles.

    Needs no teacher. Each domain is mined by itself, from training sessions only. Patterns follow the input.

    Example: kdb import DATA --split train | kdb extract pattern > kb.jsonl
    """

    name = "pattern"
    summary = "Mine which categories are bought together."
    Config = PatternConfig
    needs_teacher = False
    config: PatternConfig

    def __init__(self, config: PatternConfig, sampling: Sampling) -> None:
        super().__init__(config, sampling)
        self._domains: dict[str, list[Transaction]] = {}
        if config.spark:
            from kdb.extraction import spark

            spark.require()  # before a long input is read

    def draw(self, session: Session, teacher: Teacher) -> list[Transaction]:
        """The bundles of the session as transactions."""
        from kdb.retrieval.association_rules import transactions

        return list(transactions(session, self.config.level))

    def collect(self, session: Session, drawn: list[Transaction]) -> Iterator[Knowledge]:
        """Nothing yet."""
        self._domains.setdefault(session.domain, []).extend(drawn)
        yield from ()

    def conclude(self, teacher: Teacher) -> Iterator[Knowledge]:
        """The patterns of each domain, in the order in which the domains came."""
        from kdb.extraction import spark
        from kdb.retrieval import itemsets
        from kdb.retrieval.association_rules import MiningConfig, mine

        own = self.config
        mining = MiningConfig(own.level, own.min_support, own.min_confidence, own.max_size)
        if not self._domains:
            console.warn("no session to mine in the input")
        with spark.engine(own.spark) if own.spark else nullcontext(itemsets.frequent) as engine:
            for domain, bundles in self._domains.items():
                patterns = mine(domain, bundles, mining, engine)
                console.say(f"{domain}: {len(patterns)} patterns from {len(bundles)} bundles with categories")
                yield from patterns
