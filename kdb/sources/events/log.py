"""Event logs cut into parts by user, so that each part fits into memory whatever the size of the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kdb import console
from kdb.errors import KdbError
from kdb.io.stream import Rejects
from kdb.sources.config import EventConfig
from kdb.sources.events import rows
from kdb.sources.events.columns import Columns
from kdb.sources.events.table_file import TableFile, find_files, open_table, whole
from kdb.sources.events.text_records import locate, rewrite

if TYPE_CHECKING:
    import polars as pl

PART_BYTES = 1 << 26
MAX_PARTS = 512
COMPRESSION = 4  # a gzipped log or one in Parquet is about so many times as large as CSV
ROLES = ("session", "user", "item", "time", "event")


@dataclass
class Log:
    """A log in parts: IPC files `*/part=N/*` in `folder`; what was read, and what was not an event and why."""

    folder: Path
    parts: int
    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    key: str = "user"
    """"session" where a column says which session an event is of."""

    def part(self, number: int) -> pl.LazyFrame:
        """The events of a part; KdbError where the folder of temporary files was emptied meanwhile."""
        import polars as pl

        files = sorted(self.folder.glob(f"*/part={number}/*.ipc"), key=lambda path: path.parts[-3:])
        schema = {"session": pl.String, "user": pl.String, "item": pl.String, "time": pl.Int64, "row": pl.Int64}
        return pl.scan_ipc(files).select(*schema) if files else pl.LazyFrame(schema=schema)

    def items(self) -> pl.Series:
        """Every item of the log, in the order of the ids."""
        import polars as pl

        parts = [self.part(n).select("item").unique() for n in range(self.parts)]
        return pl.concat(parts).unique().sort("item").collect()["item"]


def read_log(files: Sequence[Path], config: EventConfig, folder: Path, rejects: Rejects) -> Log:
    """All files cut into parts in `folder`; a row that is no event goes to `rejects`.

    KdbError where a file lacks a column, or there is no event in all of them.
    """
    columns, files = config.columns, find_files(files)
    log = Log(folder, parts=_count_parts(files))
    roles: Mapping[str, str] = {}
    for number, path in enumerate(files):
        table = open_table(path, columns.separator, columns.quoted, columns.header)
        if not table.header:
            console.warn(f"{path}: empty")
            continue
        found = _resolve(table, columns, config.events)
        log.key = "session" if "session" in found else "user"
        with whole(path):
            _Part(table, found, number, log, said=found == roles).read(config.events, rejects)
        roles = found
    if not log.read:
        raise KdbError(f"{files[0]}{' and others' if files[1:] else ''}: no event in it")
    return log


def _count_parts(files: Sequence[Path]) -> int:
    size = 0
    for path in files:
        with path.open("rb") as file:
            packed = file.read(4)[:2] in (b"\x1f\x8b", b"PA")
        size += path.stat().st_size * (COMPRESSION if packed else 1)
    return min(1 + size // PART_BYTES, MAX_PARTS)


def _resolve(table: TableFile, columns: Columns, wanted: Collection[str]) -> Mapping[str, str]:
    """The column of each role that the file fills; KdbError where one is lacking that must be there."""
    found = {role: name for role in ROLES if (name := _column(table, columns, role))}
    lacking = [role for role in ("item", "time") if role not in found]
    if "user" not in found and "session" not in found:
        lacking.append("user")
    if wanted and "event" not in found:
        lacking.append("event")
    lacking += [role for role in ROLES if columns.named.get(role) and role not in found and role not in lacking]
    if lacking:
        role = lacking[0]
        missing = f"no column {columns.named[role]!r}" if columns.named.get(role) else "no column"
        plain = [one for one in lacking if not columns.named.get(one)] if missing == "no column" else [role]
        hint = f"--columns {','.join(f'{one}=NAME' for one in plain)}; it has {', '.join(table.header)}"
        raise KdbError(f"{table.path}:1: {missing} for the {', the '.join(plain)}", hint)
    return found


def _column(table: TableFile, columns: Columns, role: str) -> str | None:
    if role == "time" and "+" in columns.named.get("time", ""):
        both = rows.split_time(columns.named["time"])
        return columns.named["time"] if all(name in table.header for name in both) else None
    return columns.find(role, table.header)


@dataclass
class _Part:
    """One file on its way into the parts of a log."""

    table: TableFile
    columns: Mapping[str, str]
    number: int
    log: Log
    said: bool
    """Whether another file has said already which columns these are."""

    def read(self, wanted: Collection[str], rejects: Rejects) -> None:
        import polars as pl

        table = self.table
        try:
            self._cut(table, wanted)
        except pl.exceptions.PolarsError as error:
            if table.form == "parquet":
                raise KdbError(f"{table.path}: {str(error).splitlines()[0]}") from None
            console.say(f"{table.path}: not CSV or JSON throughout, so it is read line by line, which takes longer")
            table, lost = rewrite(table, self.log.folder, rejects)
            for wrong, count in lost.items():
                self.log.dropped[f"{wrong} (put aside)"] += count
            self.log.read += lost.total()
            self._cut(table, wanted)
        if not self.said:
            named = ", ".join(f"{role}={name.strip()}" for role, name in self.columns.items())
            console.say(f"{self.table.path}: {named}; times are {rows.time_rule(table, self.columns['time'])}")
        if table.original:
            table.path.unlink()
        self._count(table, wanted, rejects)

    def _cut(self, table: TableFile, wanted: Collection[str]) -> None:
        """The events of a file by part, and in part -1 the rows that are none."""
        import shutil

        import polars as pl

        folder = self.log.folder / f"{self.number:06}"
        shutil.rmtree(folder, ignore_errors=True)
        key = pl.col("session" if "session" in self.columns else "user")
        part = pl.when(pl.col("fault") != rows.GOOD).then(-1).otherwise(key.hash(0) % self.log.parts)
        frame = rows.events(table, self.columns, wanted)
        frame = frame.with_columns(row=pl.col("row") + (self.number << 40), part=part.cast(pl.Int16))
        by_part = pl.PartitionBy(folder, key="part", include_key=False, approximate_bytes_per_file=1 << 62)
        frame.sink_ipc(by_part, mkdir=True)

    def _count(self, table: TableFile, wanted: Collection[str], rejects: Rejects) -> None:
        """Count what the file held, and put its faulty rows aside."""
        import polars as pl

        folder = self.log.folder / f"{self.number:06}"
        files = list(folder.glob("*/*.ipc"))
        self.log.read += pl.scan_ipc(files).select(pl.len()).collect().item() if files else 0
        files = [path for path in files if path.parent.name == "part=-1"]
        if not files:
            return
        none = pl.scan_ipc(files).select("row", "fault")
        counts = dict(none.group_by("fault").len().collect().iter_rows())
        others = f"of other events than {', '.join(sorted(wanted))}"
        for fault, reason in ((rows.BLANK, "blank rows"), (rows.OTHER_EVENT, others)):
            self.log.dropped[reason] += counts.get(fault, 0)
        faulty = none.filter(~pl.col("fault").is_in([rows.BLANK, rows.OTHER_EVENT])).sort("row").collect()
        places = locate(table, (faulty["row"] - (self.number << 40)).to_list())
        for fault, (place, text, fields) in zip(faulty["fault"], places, strict=True):
            role, colon, wrong = rows.FAULTS[fault].partition(":")
            reason = f"{self.columns.get(role, role).strip()}{colon}{wrong}"
            rejects.add(place, f"{reason}{f' ({fields})' if fields else ''}", text)
            self.log.dropped[f"{reason} (put aside)"] += 1
