"""Ranks training sessions, or pieces of knowledge, by a strategy, and takes the head of the ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kdb import console
from kdb.errors import KdbError
from kdb.prompts import numbered
from kdb.records import Knowledge, Session, SessionKey
from kdb.selection import difficulty, orderings

Strategy = Literal["random", "length", "diversity", "difficulty"]
Ranked = Sequence[Session | Knowledge]

PREFERENCES: dict[str, dict[str, orderings.Prefer]] = {
    "length": {"long": "high", "short": "low", "spread": "spread"},
    "difficulty": {"hard": "high", "easy": "low", "spread": "spread"},
}
"""What a strategy may prefer, the default first."""


@dataclass(frozen=True)
class Ranking:
    """A strategy and what it needs: `prefer` is one of PREFERENCES, or empty."""

    strategy: Strategy
    prefer: str
    seed: int
    embedder: str


@dataclass(frozen=True)
class Quantity:
    """How much is taken: a share, a number, or a budget of the student's tokens; all where none is given."""

    ratio: float | None
    count: int | None
    tokens: int | None
    student: str


def order(records: Ranked, ranking: Ranking, difficulties: Mapping[SessionKey, float]) -> list[int]:
    """The positions of the records, those to take first at the head."""
    if ranking.strategy == "random":
        return orderings.shuffled(len(records), ranking.seed)
    if ranking.strategy == "diversity":
        from kdb.retrieval.embedder import Embedder

        vectors = Embedder(ranking.embedder).encode([_embedded(record) for record in records])
        return orderings.farthest_first(vectors, ranking.seed)
    values: list[float | None]
    if ranking.strategy == "length":
        values = [_length(record) for record in records]
    else:
        values = _difficulties(records, difficulties)
    return orderings.by_value(values, PREFERENCES[ranking.strategy][ranking.prefer], ranking.seed)


def head(ranked: Sequence[int], records: Ranked, quantity: Quantity) -> Sequence[int]:
    """As much of the order as the quantity allows; a share above 0 is rounded, never to nothing."""
    if quantity.ratio is not None:
        return ranked[: max(1, round(quantity.ratio * len(ranked))) if quantity.ratio else 0]
    if quantity.tokens is not None:
        from kdb.student.tokens import counts

        return orderings.head(ranked, counts([_prompted(r) for r in records], quantity.student), quantity.tokens)
    return ranked[: quantity.count]


def _length(record: Session | Knowledge) -> float:
    """The items of a session, the words of a piece of knowledge."""
    return len(record.items) if isinstance(record, Session) else len(record.text.split())


def _embedded(record: Session | Knowledge) -> str:
    """What stands for a record when records are compared: only what is known at inference."""
    from kdb.retrieval.by_session import titles_text

    return titles_text(record) if isinstance(record, Session) else record.text


def _prompted(record: Session | Knowledge) -> str:
    """What of a record stands in a prompt."""
    return numbered(i.title for i in record.items) if isinstance(record, Session) else record.text


def _difficulties(records: Ranked, known: Mapping[SessionKey, float]) -> list[float | None]:
    values = [known.get(r.key) if isinstance(r, Session) else difficulty.of_knowledge(r, known) for r in records]
    missing = values.count(None)
    if missing == len(values):
        raise KdbError(
            "nothing says how difficult these records are",
            "extract rules before, or pass --predictions FILE with predictions for these sessions",
        )
    if missing:
        console.say(f"{missing} of {len(values)} records have no known difficulty and come last")
    return values
