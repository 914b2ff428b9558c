"""Chooses the training sessions, or the knowledge, that the rest of a pipe works with.

The whole stream is read before its first line goes out. What is chosen keeps its place. What is not up for
choice (validation and test sessions, other kinds) passes through untouched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

import msgspec
from msgspec import UNSET

from kdb import console
from kdb.errors import KdbError
from kdb.io.stream import Line
from kdb.records import SHOWN_AS, Knowledge, Session
from kdb.registry import load
from kdb.selection import STRATEGIES
from kdb.selection.amount import Amount
from kdb.selection.config import Of, SelectionConfig
from kdb.selection.strategy import Strategy

KINDS = ("session", "knowledge")

Offered = dict[int, Session | Knowledge]
"""Records that are up for choice, by their place in the stream."""


def select(lines: Iterable[Line], config: SelectionConfig) -> Iterator[Line]:
    """What is chosen, with a field `selected`, and what goes with it or is not up for choice, in order.

    With `rest: unannotated` the other sessions stay without their annotations. Knowledge goes with the sessions
    that are chosen, unless it was drawn only from others; sessions go with the knowledge that is chosen.
    """
    amount = Amount.parse(config.amount)
    everything = list(lines)
    offered = {n: record for n, line in enumerate(everything) if (record := _offered(line)) is not None}
    wanted = {n: record for n, record in offered.items() if _is_wanted(record, config)}
    strategy: Strategy = load(STRATEGIES, config.strategy, "--strategy")(config, list(offered.values()))
    ranks = _ranks(wanted, config, strategy, amount)
    kept = ranks.keys() | _dependents(wanted, ranks, config.of)
    settings = {
        "of": config.of,
        **strategy.settings(),
        "rest": config.rest if config.rest != "drop" else "",
        "amount": amount.stated(config.of),
        "per_domain": config.per_domain,
    }
    settings = {name: value for name, value in settings.items() if value != ""}
    _report(offered, kept)
    for n, line in enumerate(everything):
        if n in ranks:
            yield line.with_fields(selected={**settings, "rank": ranks[n]})
        elif n in kept or n not in offered:
            yield line
        elif n in wanted and isinstance(line.record, Session) and config.rest == "unannotated":
            yield _unannotated(line)


def _unannotated(line: Line) -> Line:
    """As if nobody annotated it: without categories too, as only bundled items have one in public data."""
    items = msgspec.json.decode(line.text)["items"]
    plain = [{name: value for name, value in item.items() if name != "category"} for item in items]
    return line.with_fields(bundles=UNSET, items=plain)


def _offered(line: Line) -> Session | Knowledge | None:
    record = line.record
    if isinstance(record, Session):
        return record if record.split in ("train", None) else None
    return record if isinstance(record, Knowledge) else None


def _is_wanted(record: Session | Knowledge, config: SelectionConfig) -> bool:
    if config.domains and record.domain not in config.domains:
        return False
    return isinstance(record, Session) or not config.formats or record.format in config.formats


def _ranks(wanted: Offered, config: SelectionConfig, strategy: Strategy, amount: Amount) -> dict[int, int]:
    """The chosen records with their rank, counted from 1, in their domain if domains are ranked apart."""
    kind = Session if config.of == "sessions" else Knowledge
    groups: dict[str, list[int]] = {}
    for n, record in wanted.items():
        if isinstance(record, kind):
            groups.setdefault(record.domain if config.per_domain else "", []).append(n)
    if not groups:
        what = "training sessions" if kind is Session else "knowledge"
        raise KdbError(f"the stream holds no {what} to select from", _remedy(wanted, config))
    ranks: dict[int, int] = {}
    for places in groups.values():
        records = [wanted[n] for n in places]
        chosen = amount.head(strategy.order(records), records, config.student)
        ranks.update((places[i], rank) for rank, i in enumerate(chosen, 1))
    return ranks


def _remedy(wanted: Offered, config: SelectionConfig) -> str:
    if config.domains or (config.formats and config.of == "knowledge"):
        return "check --domains and --formats"
    other = "knowledge" if config.of == "sessions" else "sessions"
    return f"pass --of {other}" if wanted else "import with --split train"


def _dependents(wanted: Offered, ranks: dict[int, int], of: Of) -> set[int]:
    """The records that were not ranked themselves and stay."""
    if of == "knowledge":
        return {n for n, record in wanted.items() if isinstance(record, Session)}
    sessions = {n: record for n, record in wanted.items() if isinstance(record, Session)}
    left_out = {r.key for n, r in sessions.items() if n not in ranks}

    def stays(piece: Knowledge) -> bool:
        sources = {(piece.domain, session) for session in piece.source.sessions}
        return not sources or not sources <= left_out

    return {n for n, record in wanted.items() if isinstance(record, Knowledge) and stays(record)}


def _report(offered: Offered, kept: Collection[int]) -> None:
    """Say for each domain how many of its sessions and of each format are kept."""
    names = {n: "sessions" if isinstance(r, Session) else f"{r.format}s" for n, r in offered.items()}
    totals = Counter((offered[n].domain, names[n]) for n in offered)
    taken = Counter((offered[n].domain, names[n]) for n in kept)
    for domain in dict.fromkeys(domain for domain, _ in totals):
        parts = [f"{taken[k]} of {totals[k]} {k[1]}" for k in sorted(totals, key=_place) if k[0] == domain]
        console.say(f"{domain}: {', '.join(parts)}")


def _place(group: tuple[str, str]) -> int:
    """Sessions first, then knowledge in the order of its formats."""
    return ["sessions", *(f"{name}s" for name in SHOWN_AS)].index(group[1])
