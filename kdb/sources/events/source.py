"""`kdb import --format events`: logs and a catalogue as the lines of session records."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from kdb import console
from kdb.errors import KdbError
from kdb.records import Imported, Split
from kdb.sources.events.catalogue import Catalogue
from kdb.sources.events.columns import Columns
from kdb.sources.events.log import Log, read_log
from kdb.sources.events.rows import TIME_RULE
from kdb.sources.events.sessions import SessionRules, Sessions, as_lines, build_sessions
from kdb.sources.events.table_file import TableFile, find_files, locate, open_table, rewrite
from kdb.sources.policy import Untitled
from kdb.stream import STDIN, Rejects

if TYPE_CHECKING:
    import polars as pl

LINES = 10_000  # written at once

Splitter = Callable[["pl.DataFrame"], "pl.Series"]
"""From the `id`, `user` and `time` of all sessions to the split of each, null for none."""


@dataclass(frozen=True)
class EventOptions:
    """What is read beside the log and how; `splitter` needs all sessions before it can say the split of one."""

    domain: str
    catalogue: Sequence[Path] = ()
    columns: Columns = Columns()
    rules: SessionRules = SessionRules()
    events: frozenset[str] = frozenset()
    titles: Mapping[str, str] = field(default_factory=dict)
    untitled: Untitled = "fail"
    splitter: Splitter | None = None
    only: frozenset[Split] = frozenset()
    imported: Imported = Imported()


def session_lines(paths: Sequence[Path], options: EventOptions, rejects: Rejects) -> Iterator[bytes]:
    """Session records as blocks of whole lines, sorted by user and time within each part of the log.

    Says on stderr what was read, and what was dropped and why: events read are those kept and those dropped.
    KdbError for a faulty row without a file for `rejects`, and where items lack titles under `untitled` "fail".
    """
    with TemporaryDirectory(prefix="kdb-events-") as name:
        folder = Path(name)
        log = read_log(_spooled(paths, folder), options.columns, options.events, folder, rejects)
        items = _items(paths, log, options, folder, rejects)
        yield from _Writer(log, items, options).lines()


def _spooled(paths: Sequence[Path], folder: Path) -> list[Path]:
    """The paths, with what comes by stdin as a file."""
    if STDIN not in paths:
        return list(paths)
    spool = folder / "stdin"
    with spool.open("wb") as file:
        copyfileobj(sys.stdin.buffer, file)
    return [spool if path == STDIN else path for path in paths]


def _items(paths: Sequence[Path], log: Log, options: EventOptions, folder: Path, rejects: Rejects) -> pl.DataFrame:
    """The record of each item of the log, and whether it is titled."""
    import polars as pl

    def bad(table: TableFile, row: int, wrong: str) -> None:
        if log_itself:
            return  # the first title counts; what is wrong with a row of the log is said already
        place, text, _ = next(locate(table, [row], rewritten))
        rejects.add(place, wrong, text)

    catalogue = Catalogue(log.items(), options.titles, bad)
    columns, log_itself, rewritten = options.columns, not options.catalogue, False
    if log_itself and not columns.named.get("title"):
        return catalogue.items()
    for path in find_files(options.catalogue or paths):
        header = columns.header if log_itself or columns.named.get("product", "").isdecimal() else ()
        table = open_table(path, columns.separator, columns.quoted, header)
        if not table.header:
            console.warn(f"{path}: empty")
            continue
        rewritten = False
        try:
            catalogue.read(table, columns)
        except pl.exceptions.PolarsError as error:
            if table.form == "parquet":
                raise KdbError(f"{path}: {str(error).splitlines()[0]}") from None
            rewritten = True
            copy = rewrite(table, folder, lambda number, wrong, text: rejects.add(f"{path}:{number}", wrong, text))  # noqa: B023
            catalogue.read(copy, columns)
    return catalogue.items()


class _Writer:
    """The second half of an import: sessions, part by part, in the policy of untitled items and in their splits."""

    def __init__(self, log: Log, items: pl.DataFrame, options: EventOptions) -> None:
        self.log = log
        self.items = items
        self.options = options
        self.dropped = Counter(log.dropped)
        self.untitled = int((~items["titled"]).sum())

    def lines(self) -> Iterator[bytes]:
        """The lines in blocks; what became of all events is said at the end."""
        options = self.options
        if self.untitled and options.untitled == "fail":
            raise KdbError(
                f"{self.untitled} of {len(self.items)} items of the log have no title in the catalogue",
                "give titles with --catalogue or --titles, or leave these items out with --untitled drop, "
                "or keep them with --untitled keep",
            )
        splits, sessions = self._survey() if self.untitled or options.splitter else (None, 0)
        imported = msgspec.structs.replace(
            options.imported,
            untitled=options.untitled if self.untitled else "none",
            untitled_items=self.untitled,
            untitled_sessions=sessions,
        )
        stamp = msgspec.json.encode(imported).decode()
        kept: Counter[str] = Counter()
        first, last = sys.maxsize, 0
        for number in range(self.log.parts):
            built = self._build(number)
            self.dropped += built.dropped
            kept["out of order"] += built.unordered
            frame = self._chosen(built.frame, splits)
            kept["events"] += int(frame["size"].sum())
            kept["sessions"] += len(frame)
            kept["users"] += frame["user"].n_unique()
            first, last = min(first, _seconds(frame, "min", first)), max(last, _seconds(frame, "max", last))
            for block in frame.iter_slices(LINES):
                yield "\n".join(as_lines(block, options.domain, stamp).to_list()).encode()
        self._say(kept, first, last)

    def _build(self, number: int) -> Sessions:
        events = self.log.part(number).collect()
        rules, drop = self.options.rules, self.options.untitled == "drop"
        return build_sessions(events, self.items, rules, drop and self.untitled > 0)

    def _survey(self) -> tuple[pl.DataFrame | None, int]:
        """The split of each session, and how many sessions have items without a title."""
        import polars as pl

        frames, untitled = [], 0
        for number in range(self.log.parts):
            built = self._build(number)
            untitled += built.untitled
            if self.options.splitter:
                frames.append(built.frame.select("id", "user", "time"))
        if not self.options.splitter:
            return None, untitled
        frame = pl.concat(frames)
        return frame.select("id", split=self.options.splitter(frame)), untitled

    def _chosen(self, frame: pl.DataFrame, splits: pl.DataFrame | None) -> pl.DataFrame:
        """The sessions of a part with their splits, without those that are not asked for."""
        import polars as pl

        if splits is None:
            return frame
        frame = frame.join(splits, on="id", how="left", maintain_order="left")
        known = frame.filter(pl.col("split").is_not_null())
        chosen = known.filter(pl.col("split").is_in(list(self.options.only))) if self.options.only else known
        self.dropped["in sessions of no split"] += int(frame["size"].sum()) - int(known["size"].sum())
        self.dropped["in sessions of other splits"] += int(known["size"].sum()) - int(chosen["size"].sum())
        return chosen

    def _say(self, kept: Counter[str], first: int, last: int) -> None:
        """What was read, dropped and kept, a line each reason."""
        from datetime import UTC, datetime

        console.say(f"{self.log.read:,} events read; times: {TIME_RULE}")
        for reason, count in self.dropped.items():
            if count:
                console.say(f"{count:,} dropped: {reason}")
        if kept["out of order"]:
            console.say(f"{kept['out of order']:,} stand before an earlier one of theirs; sorted by time")
        span = ""
        if kept["sessions"]:
            span = f", {' to '.join(f'{datetime.fromtimestamp(t, UTC):%Y-%m-%d}' for t in (first, last))}"
        users = f" of {kept['users']:,} users" if not self.log.by_session else ""
        console.say(f"{kept['events']:,} kept, as the items of {kept['sessions']:,} sessions{users}{span}")
        if self.untitled:
            what = "left out" if self.options.untitled == "drop" else "kept without one"
            console.warn(
                f"{self.untitled} of {len(self.items)} items have no title in the catalogue, and are {what}"
            )
        assert self.log.read == kept["events"] + self.dropped.total()


def _seconds(frame: pl.DataFrame, which: str, otherwise: int) -> int:
    value = frame["time"].min() if which == "min" else frame["time"].max()
    return otherwise if value is None else int(value)  # type: ignore[arg-type]
