"""Events into sessions, part by part: all events of a user (or of a session column) are in one part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from kdb.records import SCHEMA_VERSION
from kdb.sources.config import EventConfig

if TYPE_CHECKING:
    import polars as pl


ESCAPED = r'["\\\x00-\x1f]'
"""Finds what JSON writes otherwise."""


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

    keys = events.select(pl.col(key).unique().sort())
    ordered = _in_order(events, keys, items)
    new = pl.col("_key") != pl.col("_key").shift(1)
    unordered = ordered.select((~new & (pl.col("row") < pl.col("row").shift(1))).sum()).item()
    if key == "user":
        new = new | (pl.col("time") - pl.col("time").shift(1) > config.gap * 1000)
    numbered = ordered.with_columns(new=new.fill_null(True)).with_columns(
        number=pl.col("new").cum_sum().cast(pl.Int64),
        start=pl.when("new").then(pl.col("time") // 1000).forward_fill(),
    )
    first = numbered.select((pl.col("number") * (1 << 32) + pl.col("index")).arg_unique())
    once = numbered.select(pl.all().gather(first.to_series()))
    once = once.with_columns(json=items["json"].gather(once["index"]), titled=items["titled"].gather(once["index"]))
    titled = once.filter("titled") if drop_untitled else once
    sessions = titled.group_by("number", maintain_order=True).agg(
        pl.col("_key").first(),
        *([] if key == "user" else [pl.col("user").drop_nulls().first()]),
        pl.col("json").alias("items"),
        time=pl.col("start").first(),
        size=pl.len(),
    )
    sessions = sessions.with_columns(keys.to_series().gather(sessions["_key"]))
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


def _in_order(events: pl.DataFrame, keys: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """The events as numbers (`_key` and `index` of key and item), sorted by key and time, equal ones as they were.

    Key and time are sorted as one number where 63 bits hold both, which is several times as fast.
    """
    import polars as pl

    (key,) = keys.columns
    numbers = keys.with_columns(_key=pl.int_range(pl.len(), dtype=pl.Int64))
    events = events.join(numbers, on=key, how="left", maintain_order="left")
    events = events.join(items.select("item", "index"), on="item", how="left", maintain_order="left")
    events = events.select("_key", "time", "row", "index", *([] if key == "user" else ["user"]))
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

    shop = msgspec.json.encode(domain).decode()
    user = pl.concat_str(pl.lit('"user":'), _as_json(frame["user"]), pl.lit(",")).fill_null("")
    split = [pl.lit('"split":"'), pl.col("split"), pl.lit('",')] if "split" in frame.columns else []
    line = pl.concat_str(
        pl.lit(f'{{"kind":"session","v":{SCHEMA_VERSION},"id":'),
        _as_json(frame["id"]),
        pl.lit(f',"domain":{shop},"items":['),
        "items",
        pl.lit("],"),
        user,
        *split,
        pl.lit('"time":'),
        pl.col("time").cast(pl.String),
        pl.lit(f',"imported":{imported}}}'),
    )
    return b"\n".join(frame.select(line.cast(pl.Binary)).to_series())


def _as_json(text: pl.Series) -> pl.Expr:
    """A column as JSON strings, null where it is; most need no escaping, which is faster to see than to do."""
    import polars as pl

    column = pl.col(text.name)
    if not text.str.contains(ESCAPED).any():
        return pl.concat_str(pl.lit('"'), column, pl.lit('"'))
    whole = pl.struct(value=column).struct.json_encode().str.strip_prefix('{"value":').str.strip_suffix("}")
    return pl.when(column.is_not_null()).then(whole)
