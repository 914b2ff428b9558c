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
    session, where it was first. `items` gives `item`, its `index`, `json` and `titled` for each.
    """
    import polars as pl

    events = _in_order(events, key)
    new = pl.col("_key") != pl.col("_key").shift(1)
    unordered = events.select((~new & (pl.col("row") < pl.col("row").shift(1))).sum()).item()
    if key == "user":
        new = new | (pl.col("time") - pl.col("time").shift(1) > config.gap * 1000)
    numbered = events.with_columns(new=new.fill_null(True)).with_columns(
        number=pl.col("new").cum_sum().cast(pl.Int64),
        start=pl.when("new").then(pl.col("time") // 1000).forward_fill(),
    )
    joined = numbered.join(items, on="item", how="left", maintain_order="left")
    once = joined.filter((pl.col("number") * (1 << 32) + pl.col("index")).is_first_distinct())
    titled = once.filter("titled") if drop_untitled else once
    sessions = titled.group_by("number", maintain_order=True).agg(
        pl.col("session").first(),
        pl.col("user").first() if key == "user" else pl.col("user").drop_nulls().first(),
        pl.col("json").alias("items"),
        time=pl.col("start").first(),
        size=pl.len(),
    )
    fewer, more = pl.col("size") < config.min_items, pl.col("size") > config.max_items
    dropped = Counter(
        {
            "of an item again in its session": len(events) - len(once),
            "of items without a title": len(once) - len(titled),
            f"in sessions of fewer than {config.min_items} items": sessions.filter(fewer)["size"].sum(),
            f"in sessions of more than {config.max_items} items": sessions.filter(more)["size"].sum(),
        }
    )
    kept = sessions.filter(~fewer & ~more)
    untitled = kept.filter(pl.col("number").is_in(once.filter(~pl.col("titled"))["number"].unique().implode()))
    identity = pl.col("session") if key == "session" else pl.format("{}@{}", "user", "time")
    kept = kept.select("user", "time", pl.col("items").list.join(","), "size", id=identity)
    return Sessions(kept, dropped, unordered, len(untitled))


def _in_order(events: pl.DataFrame, key: str) -> pl.DataFrame:
    """The events sorted by `key` and time, equal ones as they were, with a number for each key as `_key`.

    Numbers are sorted in place of texts, and key and time as one where 63 bits hold both: several times as fast.
    """
    import polars as pl

    keys = events.select(pl.col(key).unique().sort()).with_row_index("_key")
    events = events.join(keys, on=key, how="left", maintain_order="left").with_columns(
        pl.col("_key").cast(pl.Int64)
    )
    if not len(events):
        return events
    first, last = events["time"].min(), events["time"].max()
    width = (last - first).bit_length()  # type: ignore[operator, union-attr]
    if len(keys).bit_length() + width > 63:
        return events.sort("_key", "time", maintain_order=True)
    both = pl.col("_key") * (1 << width) + (pl.col("time") - first)
    return events.with_columns(_both=both).sort("_both", maintain_order=True)


def as_lines(frame: pl.DataFrame, domain: str, imported: str) -> bytes:
    """The records of the sessions as JSON lines, with a `split` where they have one; `imported` is JSON text."""
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
    return str(frame.select(line.str.join("\n")).item()).encode()
