"""One list of distinct bundles from the predictions of many sessions: `kdb collect predictions.jsonl`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import UNSET, Meta

from kdb import console
from kdb.collection.occurrences import Occurrences
from kdb.errors import KdbError
from kdb.io.stream import Line
from kdb.records import CollectedBundle, Item, Prediction, Session
from kdb.sources.csv_rows import csv_row

if TYPE_CHECKING:
    import polars as pl

KINDS = ("prediction", "session")
Order = Literal["sessions", "users", "probability", "last"]
CSV_COLUMNS = ("domain", "items", "titles", "intent", "sessions", "users", "probability", "first", "last")


@dataclass(frozen=True)
class CollectConfig:
    """Which bundles are one, which of them are listed, and in what order."""

    similar: Annotated[
        float, Meta(gt=0, le=1, description="Bundles are one from this Jaccard similarity of their items on.")
    ] = 1.0
    min_sessions: Annotated[int, Meta(ge=1, description="Leave out bundles of fewer sessions.")] = 1
    min_users: Annotated[int, Meta(ge=0, description="Leave out bundles of fewer users.")] = 0
    min_probability: Annotated[
        float, Meta(ge=0, le=1, description="Leave out bundles whose mean probability is lower or not known.")
    ] = 0.0
    top: Annotated[int | None, Meta(ge=1, description="List so many.", extra={"default": "all"})] = None
    sort: Annotated[Order, Meta(description="What decides the order, the largest first.")] = "sessions"


def collect_bundles(lines: Iterable[Line], config: CollectConfig) -> Iterator[CollectedBundle]:
    """A record for each distinct bundle of the predictions; titles come from sessions among the lines.

    All input is read first. Memory holds what is distinct: the titles, and the bundles that are listed. KdbError
    where no prediction comes.
    """
    titles: dict[str, dict[str, str]] = {}
    runs, read = set[str](), 0
    with TemporaryDirectory(prefix="kdb-collect-") as folder:
        occurrences = Occurrences(Path(folder))
        for line in lines:
            if isinstance(line.record, Prediction):
                occurrences.add(line.record)
                runs.add(line.record.run)
                read += 1
            elif isinstance(line.record, Session):
                names = titles.setdefault(line.record.domain, {})
                names.update((item.id, item.title) for item in line.record.items)
        if not read:
            raise KdbError("no prediction in the input", "kdb infer SESSIONS | kdb collect")
        if len(runs) > 1:
            console.warn(f"predictions of {len(runs)} runs are counted together")
        frame, distinct = _listed(occurrences, config)
    console.say(f"{distinct:,} distinct bundles in {read:,} predictions, {len(frame):,} listed")
    for row in frame.iter_rows(named=True):
        names = titles.get(row["domain"], {})
        items = msgspec.json.decode(row["items"], type=list[str])
        yield CollectedBundle(
            domain=row["domain"],
            items=[Item(item, names.get(item, "")) for item in items],
            intent=row["intent"] or "",
            sessions=row["sessions"],
            users=row["users"] or UNSET,
            probability=UNSET if row["probability"] is None else round(row["probability"], 6),
            first=_time(row["first"]),
            last=_time(row["last"]),
        )


def as_csv(bundles: Iterable[CollectedBundle]) -> Iterator[bytes]:
    """A header and a row for each bundle: items with `;`, titles with ` | ` between, times in ISO 8601 (UTC)."""
    yield csv_row(CSV_COLUMNS)
    for bundle in bundles:
        values = {
            "domain": bundle.domain,
            "items": ";".join(item.id for item in bundle.items),
            "titles": " | ".join(item.title for item in bundle.items) if any(i.title for i in bundle.items) else "",
            "intent": bundle.intent,
            "sessions": bundle.sessions,
            "users": "" if bundle.users is UNSET else bundle.users,
            "probability": "" if bundle.probability is UNSET else bundle.probability,
            "first": _iso(bundle.first),
            "last": _iso(bundle.last),
        }
        yield csv_row([values[name] for name in CSV_COLUMNS])


def _listed(occurrences: Occurrences, config: CollectConfig) -> tuple[pl.DataFrame, int]:
    """The bundles to list, in order, and how many distinct ones there are."""
    import polars as pl

    wanted = (pl.col("sessions") >= config.min_sessions) & (pl.col("users") >= config.min_users)
    if config.min_probability:
        wanted &= pl.col("probability").fill_null(-1) >= config.min_probability
    order = list(dict.fromkeys((config.sort, "sessions", "domain", "items")))
    largest = [name not in ("domain", "items") for name in order]
    parts, distinct = [], 0
    for frame in occurrences.counted(config.similar):
        distinct += len(frame)
        listed = frame.filter(wanted).sort(order, descending=largest, nulls_last=True)
        parts.append(listed.head(config.top) if config.top else listed)
    if not parts:
        return pl.DataFrame(), 0
    whole = pl.concat(parts).sort(order, descending=largest, nulls_last=True)
    return whole.head(config.top) if config.top else whole, distinct


def _time(second: float | None) -> int | msgspec.UnsetType:
    return UNSET if second is None else int(second)


def _iso(second: int | msgspec.UnsetType) -> str:
    if isinstance(second, msgspec.UnsetType):
        return ""
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
