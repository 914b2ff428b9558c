"""Chooses the training sessions, or the knowledge, that the rest of a pipe works with.

The whole stream is read before its first line goes out. What is chosen keeps its place. What is not up for
choice (validation and test sessions, other kinds) passes through untouched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kdb import console
from kdb.errors import KdbError
from kdb.records import Knowledge, Prediction, Session, SessionKey
from kdb.selection import difficulty, ranking
from kdb.selection.ranking import Quantity, Ranking
from kdb.stream import Line

KINDS = ("session", "knowledge")

Of = Literal["sessions", "knowledge"]
Offered = dict[int, Session | Knowledge]
"""Records that are up for choice, by their place in the stream."""


@dataclass(frozen=True)
class Selection:
    """What is ranked (`of`), from which domains and formats (None: all), how, and how much is taken.

    `judge` names who says what is difficult.
    """

    of: Of
    domains: Collection[str] | None
    formats: Collection[str] | None
    per_domain: bool
    ranking: Ranking
    quantity: Quantity
    judge: str = ""


Judge = Callable[[Collection[Session | Knowledge]], dict[SessionKey, float]]
"""Says how difficult the sessions behind what is up for choice are."""


def rules(records: Collection[Session | Knowledge]) -> dict[SessionKey, float]:
    """Judge by the teacher's first answers, as the stream's rules record them."""
    return difficulty.of_rules(record for record in records if isinstance(record, Knowledge))


def predictions(lines: Iterable[Line]) -> Judge:
    """Judge by a student's predictions."""
    return lambda _: difficulty.of_predictions(line.record for line in lines if isinstance(line.record, Prediction))


def losses(student: str, adapter: Path | None) -> Judge:
    """Judge by a student's loss on each session."""
    from kdb.student.session_loss import session_losses

    return lambda records: session_losses((r for r in records if isinstance(r, Session)), student, adapter)


def run(lines: Iterable[Line], selection: Selection, judge: Judge = rules) -> Iterator[Line]:
    """What is chosen, stamped `selected`, and what goes with it or is not up for choice, in order.

    Knowledge goes with the sessions that are chosen, unless it was drawn only from others; sessions go with
    the knowledge that is chosen. The judge is asked where difficulty matters.
    """
    everything = list(lines)
    offered = {n: record for n, line in enumerate(everything) if (record := _offered(line)) is not None}
    wanted = {n: record for n, record in offered.items() if _is_wanted(record, selection)}
    hard = judge(list(offered.values())) if selection.ranking.strategy == "difficulty" else {}
    ranks = _ranks(wanted, selection, hard)
    company = _company(wanted, ranks, selection.of)
    _report(offered, ranks.keys() | company)
    for n, line in enumerate(everything):
        if n in ranks:
            yield line.with_fields(selected=_stamp(selection, ranks[n]))
        elif n in company or n not in offered:
            yield line


def _offered(line: Line) -> Session | Knowledge | None:
    record = line.record
    if isinstance(record, Session):
        return record if record.split in ("train", None) else None
    return record if isinstance(record, Knowledge) else None


def _is_wanted(record: Session | Knowledge, selection: Selection) -> bool:
    if selection.domains is not None and record.domain not in selection.domains:
        return False
    return isinstance(record, Session) or selection.formats is None or record.format in selection.formats


def _ranks(wanted: Offered, selection: Selection, difficulties: dict[SessionKey, float]) -> dict[int, int]:
    """The chosen records with their rank, counted from 1, in their domain if domains are ranked apart."""
    kind = Session if selection.of == "sessions" else Knowledge
    groups: dict[str, list[int]] = {}
    for n, record in wanted.items():
        if isinstance(record, kind):
            groups.setdefault(record.domain if selection.per_domain else "", []).append(n)
    if not groups:
        what = "training sessions" if kind is Session else "knowledge"
        raise KdbError(f"the stream holds no {what} to select from", _remedy(wanted, selection))
    ranks: dict[int, int] = {}
    for places in groups.values():
        records = [wanted[n] for n in places]
        order = ranking.order(records, selection.ranking, difficulties)
        chosen = ranking.head(order, records, selection.quantity)
        ranks.update((places[i], rank) for rank, i in enumerate(chosen, 1))
    return ranks


def _remedy(wanted: Offered, selection: Selection) -> str:
    if selection.domains is not None or (selection.formats is not None and selection.of == "knowledge"):
        return "check --domains and --formats"
    other = "knowledge" if selection.of == "sessions" else "sessions"
    return f"pass --of {other}" if wanted else "import with --split train"


def _company(wanted: Offered, ranks: dict[int, int], of: Of) -> set[int]:
    """The records that were not ranked themselves and stay."""
    if of == "knowledge":
        return {n for n, record in wanted.items() if isinstance(record, Session)}
    sessions = {n: record for n, record in wanted.items() if isinstance(record, Session)}
    left_out = {r.key for n, r in sessions.items() if n not in ranks}

    def stays(piece: Knowledge) -> bool:
        sources = {(piece.domain, session) for session in piece.source.sessions}
        return not sources or not sources <= left_out

    return {n for n, record in wanted.items() if isinstance(record, Knowledge) and stays(record)}


def _stamp(selection: Selection, rank: int) -> dict[str, Any]:
    how, much = selection.ranking, selection.quantity
    settings = {
        "of": selection.of,
        "strategy": how.strategy,
        "prefer": how.prefer,
        "embedder": how.embedder if how.strategy == "diversity" else "",
        "judge": selection.judge,
        "ratio": much.ratio,
        "count": much.count,
        "tokens": much.tokens,
        "seed": how.seed,
        "per_domain": selection.per_domain,
        "rank": rank,
    }
    return {name: value for name, value in settings.items() if value not in ("", None)}


def _report(offered: Offered, kept: Collection[int]) -> None:
    """Say for each domain how many of its sessions and of each format are kept."""
    names = {n: "sessions" if isinstance(r, Session) else f"{r.format}s" for n, r in offered.items()}
    totals = Counter((offered[n].domain, names[n]) for n in offered)
    taken = Counter((offered[n].domain, names[n]) for n in kept)
    for domain in dict.fromkeys(domain for domain, _ in totals):
        parts = [f"{taken[k]} of {totals[k]} {k[1]}" for k in sorted(totals, key=_place) if k[0] == domain]
        console.say(f"{domain}: {', '.join(parts)}")


def _place(group: tuple[str, str]) -> int:
    return ("sessions", "patterns", "rules", "thoughts").index(group[1])
