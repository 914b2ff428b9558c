"""The rows of a log as events, by Polars expressions: ids, times, and why a row is none."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from kdb.sources.events.table_file import EXTRA, ROW, TableFile
from kdb.sources.titles import PLACEHOLDERS

if TYPE_CHECKING:
    import polars as pl

LONGEST_ID = 512  # bytes; a longer one is most often a quote that was closed rows later
LATEST = 7_258_118_400_000  # 2200-01-01 in milliseconds
SECONDS, MILLISECONDS = 10**11, 10**14
UNTIDY_ID = rf"(?i)^\s|\s$|\.0$|^(?:{'|'.join(map(re.escape, sorted(PLACEHOLDERS)))})$"
"""Finds blanks around an id, placeholders, and what may be a whole number written with a fraction."""

NUMBERS = "Unix seconds below 1e11, milliseconds below 1e14, else microseconds"
ISO = "ISO 8601, in UTC where no zone is given"

GOOD, BLANK, OTHER_EVENT = 0, 1, 2
FAULTS: Mapping[int, str] = {
    3: "more fields than the header",
    4: "the header again",
    5: "user: missing",
    6: "session: missing",
    7: "item: missing",
    8: "time: missing",
    9: "time: not a time",
    10: "user: a line break in it, or too long",
    11: "session: a line break in it, or too long",
    12: "item: a line break in it, or too long",
}
"""Rows that are faulty, as opposed to those that are not asked for."""


def events(table: TableFile, columns: Mapping[str, str], wanted: Collection[str]) -> pl.LazyFrame:
    """Each row of a log: `session`, `user`, `item`, `time` (Unix milliseconds), its number, and its `fault`.

    `columns` are those of the roles; `session` and `user` are null where no column fills them. `wanted`: the kinds
    of event to keep, all where empty.
    """
    import polars as pl

    names = list(dict.fromkeys(column for name in columns.values() for column in split_time(name)))
    frame = table.scan(names)
    kinds = frame.collect_schema()
    text = {name: pl.col(name).cast(pl.String) for name in names}
    ids = {role: name for role, name in columns.items() if role in ("user", "session", "item")}
    nothing = pl.lit(None, pl.String)
    # Once for all, under names of their own: Polars would work them out anew for each fault.
    found = frame.with_columns(
        *(identity(ids[role], kinds[ids[role]]).alias(f"_{role}") for role in ids),
        _time=milliseconds(table, columns["time"], kinds),
    )
    faults = [(pl.all_horizontal(*(text[name].is_null() for name in names), ~pl.col(EXTRA)), BLANK)]
    faults.append((pl.col(EXTRA), 3))
    if table.form == "text" and table.headed:
        faults.append((pl.all_horizontal(*(text[name] == name for name in ids.values())), 4))
    if wanted and "event" in columns:
        kind = text[columns["event"]].str.strip_chars()
        faults.append((~kind.is_in(list(wanted)).fill_null(False), OTHER_EVENT))
    key = "session" if "session" in ids else "user"
    faults.append((pl.col(f"_{key}").is_null(), {"user": 5, "session": 6}[key]))
    faults.append((pl.col("_item").is_null(), 7))
    no_time = pl.col("_time").is_null()
    faults += [(no_time & missing(text[split_time(columns["time"])[0]]), 8), (no_time, 9)]
    for role, code in (("user", 10), ("session", 11), ("item", 12)):
        if role in ids:
            column = pl.col(f"_{role}").str
            faults.append((column.contains("\n", literal=True) | (column.len_bytes() > LONGEST_ID), code))
    return found.select(
        *((pl.col(f"_{role}") if role in ids else nothing).alias(role) for role in ("session", "user", "item")),
        pl.col("_time").alias("time"),
        pl.col(ROW).alias("row"),
        fault=pl.coalesce(*(pl.when(faulty).then(pl.lit(code, pl.UInt8)) for faulty, code in faults), GOOD),
    )


def missing(text: pl.Expr) -> pl.Expr:
    """Whether a text is null, blank or a placeholder."""
    return text.is_null() | text.str.strip_chars().str.to_lowercase().is_in(list(PLACEHOLDERS))


def identity(name: str, kind: pl.DataType) -> pl.Expr:
    """A column of ids as text without blanks around, null where missing.

    A whole number is written without `.0`: programs that know no missing integers write 100 as 100.0.
    """
    import polars as pl

    column = pl.col(name)
    if kind.is_float():
        whole = pl.when(column == column.floor()).then(column.cast(pl.Int64, strict=False)).cast(pl.String)
        column = pl.coalesce(whole, column.cast(pl.String))
    return column.cast(pl.String).map_batches(_tidied, pl.String, is_elementwise=True)


def _tidied(ids: pl.Series) -> pl.Series:
    """Ids as `identity` gives them. Most need nothing done, which is several times as fast to see as to do."""
    import polars as pl

    if not ids.str.contains(UNTIDY_ID).any():
        return ids
    column = pl.col("id").str.strip_chars()
    number = column.str.ends_with(".0") & column.str.head(-2).cast(pl.Int64, strict=False).is_not_null()
    tidy = pl.when(missing(column)).then(None).when(number).then(column.str.head(-2)).otherwise(column)
    return ids.to_frame("id").select(tidy).to_series()


def milliseconds(table: TableFile, name: str, kinds: Mapping[str, pl.DataType]) -> pl.Expr:
    """A column of times as Unix milliseconds, null where it is none; `A+B`: the time in A and milliseconds in B.

    A column is read as numbers, if most of its first values are, or as ISO 8601.
    """
    import polars as pl

    base, *offset = split_time(name)
    kind = kinds[base]
    column = pl.col(base)
    if kind.is_temporal():
        time = column.cast(pl.Datetime("ms")).dt.epoch("ms")
    elif kind.is_numeric() or is_numeric(table, base):
        time = column.map_batches(_from_numbers, pl.Int64, is_elementwise=True)
    else:
        time = _iso(column)
    if offset:
        time = time + _number(pl.col(offset[0]), kinds[offset[0]]).cast(pl.Int64, strict=False)
    return pl.when(time.is_between(0, LATEST)).then(time)


def _from_numbers(column: pl.Series) -> pl.Series:
    """Unix seconds, milliseconds or microseconds as milliseconds, null where it is no number."""
    import polars as pl

    number: pl.Series = column.cast(pl.Int64, strict=False)
    if column.dtype.is_float() or number.null_count() > column.null_count():
        number = column.to_frame("n").select(_number(pl.col("n"), column.dtype)).to_series()
    n = pl.col("n")
    micro = (n.cast(pl.Float64) * 0.001).round()
    time = pl.when(n < SECONDS).then((n * 1000).round()).when(n < MILLISECONDS).then(n.round()).otherwise(micro)
    return number.to_frame("n").select(time.cast(pl.Int64, strict=False)).to_series()


def split_time(name: str) -> list[str]:
    """The columns that a time is read from."""
    return name.split("+")


def is_numeric(table: TableFile, name: str) -> bool:
    """Whether most of the first times of a text column are numbers."""
    import polars as pl

    column = pl.col(name)
    sample = table.scan([name]).head(1000).filter(~missing(column)).collect()
    return 2 * sample.select(_number(column, pl.String()).count()).item() > len(sample)


def _number(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """A column as floats, null where it holds no number."""
    import polars as pl

    text = column.str.strip_chars() if kind == pl.String else column
    return text.cast(pl.Float64, strict=False)


def time_rule(table: TableFile, name: str) -> str:
    """How the times of a column are read, in words."""
    base = split_time(name)[0]
    kind = table.scan([base]).collect_schema()[base]
    if kind.is_temporal():
        return "as stored"
    return NUMBERS if kind.is_numeric() or is_numeric(table, base) else ISO


def _iso(column: pl.Expr) -> pl.Expr:
    """ISO 8601: a date, or a date and a time with or without seconds, fractions and a zone."""
    import polars as pl

    text = column.str.strip_chars()
    clock = text.str.slice(11).str.strip_suffix("UTC").str.strip_suffix(" ").str.strip_suffix("Z")
    zone = clock.str.extract(r"([+-]\d\d(?::?\d\d)?)$")
    clock = pl.when(zone.is_null()).then(clock).otherwise(clock.str.strip_suffix(zone)).str.strip_chars()
    day = text.str.head(10).str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("ms")).dt.epoch("ms")
    part = clock.str.extract_groups(r"^(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?$")
    hour, minute, second = (part.struct[n].cast(pl.Int64) for n in range(3))
    fraction = (pl.lit("0.") + part.struct[3]).cast(pl.Float64, strict=False).fill_null(0.0) * 1000
    real = (hour < 24) & (minute < 60) & (second.fill_null(0) < 61)
    within = ((hour * 60 + minute) * 60 + second.fill_null(0)) * 1000 + fraction.cast(pl.Int64)
    within = (
        pl.when(text.str.len_chars() == 10)
        .then(0)
        .when(real & text.str.slice(10, 1).is_in(["T", "t", " "]))
        .then(within)
    )
    hours = zone.str.head(3).cast(pl.Int64)
    minutes = zone.str.slice(3).str.strip_prefix(":").cast(pl.Int64, strict=False).fill_null(0)
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    return day + within - ((hours * 60 + sign * minutes) * 60_000).fill_null(0)
