"""Events into sessions, part by part: all events of a user (or of a session column) are in one part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdb.records import SCHEMA_VERSION
from kdb.sources.config import EventConfig

if TYPE_CHECKING:
    import polars as pl


@dataclass
class Sessions:
    """The sessions of a part, a row each, and how many events left them by reason.

    Columns: `id`, `user`, `time` (Unix seconds of the first event), `items` (JSON objects with commas between)
    and `size`, their number.
    """

    frame: pl.DataFrame
    dropped: Counter[str]
    unordered: int
    """How many events stand before an earlier one of their user."""
    untitled: int
    """How many of the sessions have, or had before they were dropped, items without a title."""


def build_sessions(
    events: pl.DataFrame, items: pl.DataFrame, key: str, config: EventConfig, drop_untitled: bool
) -> Sessions:
    """The sessions among `events` (`session`, `user`, `item`, `time` in milliseconds, `row`).

    By `key`: "session" where a column says which session an event is of, else "user". An item stands once in its
    session, where it was first. `items` gives `item`, `json` and `titled` for each.
    """
    import polars as pl

    events = events.sort(key, "time", "row")
    new = pl.col(key) != pl.col(key).shift(1)
    late = (~new & (pl.col("row") < pl.col("row").shift(1))).sum()
    if key == "user":
        new = new | (pl.col("time") - pl.col("time").shift(1) > config.gap * 1000)
    events = events.with_columns(new=new.fill_null(True))
    numbered = events.with_columns(
        number=pl.col("new").cum_sum(), start=pl.when("new").then(pl.col("time") // 1000).forward_fill()
    )
    once = numbered.unique(["number", "item"], keep="first", maintain_order=True)
    joined = once.join(items, on="item", how="left", maintain_order="left")
    titled = joined.filter("titled") if drop_untitled else joined
    frame = titled.group_by("number", maintain_order=True).agg(
        pl.col("session").first(),
        pl.col("user").drop_nulls().first(),
        time=pl.col("start").first(),
        items=pl.col("json").str.join(","),
        size=pl.len(),
    )
    identity = pl.col("session") if key == "session" else pl.format("{}@{}", "user", "time")
    fewer, more = pl.col("size") < config.min_items, pl.col("size") > config.max_items
    short, long = frame.filter(fewer)["size"].sum(), frame.filter(more)["size"].sum()
    dropped = Counter(
        {
            "of an item again in its session": len(events) - len(once),
            "of items without a title": len(joined) - len(titled),
            f"in sessions of fewer than {config.min_items} items": short,
            f"in sessions of more than {config.max_items} items": long,
        }
    )
    kept = frame.filter(~fewer & ~more)
    untitled = kept.filter(pl.col("number").is_in(joined.filter(~pl.col("titled"))["number"].unique().implode()))
    kept = kept.select("user", "time", "items", "size", id=identity)
    return Sessions(kept, dropped, events.select(late).item(), len(untitled))


def as_lines(frame: pl.DataFrame, domain: str, imported: str) -> pl.Series:
    """Each session as the JSON text of its record, with its `split` where there is one; `imported` is JSON text."""
    import polars as pl

    version = pl.lit(SCHEMA_VERSION)
    head = pl.struct(kind=pl.lit("session"), v=version, id="id", domain=pl.lit(domain)).struct.json_encode()
    first = [pl.col("split")] if "split" in frame.columns else []
    tail = pl.struct(*first, "time").struct.json_encode().str.strip_prefix("{")
    user = pl.struct("user").struct.json_encode().str.strip_prefix("{").str.strip_suffix("}")
    user = pl.when(pl.col("user").is_null()).then(pl.lit("")).otherwise(user + ",")
    line = pl.concat_str(
        head.str.strip_suffix("}"),
        pl.lit(',"items":['),
        "items",
        pl.lit("],"),
        user,
        tail.str.strip_suffix("}"),
        pl.lit(f',"imported":{imported}}}'),
    )
    return frame.select(line.alias("line"))["line"]
