"""`kdb import --format events`: logs and a catalogue as the lines of session records."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from kdb import console
from kdb.errors import KdbError, UsageError
from kdb.io.provenance import content_hash, file_hash
from kdb.io.stream import STDIN, Rejects
from kdb.records import ImportInfo
from kdb.sources.config import ImportConfig
from kdb.sources.events.catalogue import read_items
from kdb.sources.events.log import Log, read_log
from kdb.sources.events.sessions import Sessions, as_lines, build_sessions
from kdb.sources.events.table_file import find_files
from kdb.sources.source import Source

if TYPE_CHECKING:
    import polars as pl

LINES = 10_000  # written at once


def read(paths: Sequence[Path], config: ImportConfig, rejects: Rejects) -> Iterator[bytes]:
    """Session records as blocks of whole lines, sorted by user and time within each part of the log.

    Says on stderr what was read, and what was dropped and why: events read are those kept and those dropped.
    KdbError for a faulty row without a file for `rejects`, and where items lack titles under `untitled` "fail".
    """
    if config.empty == "drop":
        raise UsageError("--empty drop: a log has no bundles", "label sessions with kdb extract label")
    config = replace(config, domain=config.domain or _name(paths[0]))
    with TemporaryDirectory(prefix="kdb-events-") as name:
        folder = Path(name)
        files = _spooled(paths, folder)
        log = read_log(files, config.log, folder, rejects)
        items = read_items(files, log, config, rejects)
        hashed = [*find_files(files), *find_files(config.log.catalogue), *filter(None, [config.titles])]
        stamp = config.stamp(
            source=_name(paths[0]), hash=content_hash([file_hash(path) for path in hashed]), truth=""
        )
        yield from _Writer(log, items, config, stamp).lines()


def _name(path: Path) -> str:
    """The name of a file or folder without its endings."""
    return "stdin" if path == STDIN else path.resolve().name.partition(".")[0]


def _spooled(paths: Sequence[Path], folder: Path) -> list[Path]:
    """The paths, with what comes by stdin as a file."""
    if STDIN not in paths:
        return list(paths)
    spool = folder / "stdin"
    with spool.open("wb") as file:
        copyfileobj(sys.stdin.buffer, file)
    return [spool if path == STDIN else path for path in paths]


class _Writer:
    """The second half of an import: sessions, part by part, in the policy of untitled items and in their splits."""

    def __init__(self, log: Log, items: pl.DataFrame, config: ImportConfig, stamp: ImportInfo) -> None:
        self.log = log
        self.items = items
        self.config = config
        self.stamp = stamp
        self.dropped = Counter(log.dropped)
        self.untitled = int((~items["titled"]).sum())

    def lines(self) -> Iterator[bytes]:
        """The lines in blocks; what became of all events is said at the end."""
        config = self.config
        if self.untitled and config.untitled == "fail":
            raise KdbError(
                f"{self.untitled} of {len(self.items)} items of the log have no title in the catalogue",
                "give titles with --catalogue or --titles, or leave these items out with --untitled drop, "
                "or keep them with --untitled keep",
            )
        splits, sessions = self._survey() if self.untitled or config.split else (None, 0)
        imported = msgspec.structs.replace(
            self.stamp,
            untitled=config.untitled if self.untitled else "none",
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
            if len(frame):
                first = min(first, frame["time"].min())  # type: ignore[type-var, assignment]
                last = max(last, frame["time"].max())  # type: ignore[type-var, assignment]
            for block in frame.iter_slices(LINES):
                yield as_lines(block, config.domain, stamp)
        self._say(kept, first, last)

    def _build(self, number: int) -> Sessions:
        events = self.log.part(number).collect()
        drop = self.config.untitled == "drop" and self.untitled > 0
        return build_sessions(events, self.items, self.log.key, self.config.log, drop)

    def _survey(self) -> tuple[pl.DataFrame | None, int]:
        """The split of each session, and how many sessions have items without a title."""
        import polars as pl

        frames, untitled = [], 0
        for number in range(self.log.parts):
            built = self._build(number)
            untitled += built.untitled
            if self.config.split:
                frames.append(built.frame.select("id", "user", "time"))
        if not self.config.split:
            return None, untitled
        frame = pl.concat(frames)
        return frame.select("id", split=self._assigned(frame)), untitled

    def _assigned(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        ids, users, times = (frame[name].to_list() for name in ("id", "user", "time"))
        return pl.Series(self.config.split.assign(ids, users, times), dtype=pl.String)

    def _chosen(self, frame: pl.DataFrame, splits: pl.DataFrame | None) -> pl.DataFrame:
        """The sessions of a part with their splits, without those that are not asked for."""
        import polars as pl

        if splits is None:
            return frame
        frame = frame.join(splits, on="id", how="left", maintain_order="left")
        known = frame.filter(pl.col("split").is_not_null())
        chosen = known.filter(pl.col("split").is_in(list(self.config.only))) if self.config.only else known
        self.dropped["in sessions of no split"] += int(frame["size"].sum()) - int(known["size"].sum())
        self.dropped["in sessions of other splits"] += int(known["size"].sum()) - int(chosen["size"].sum())
        return chosen

    def _say(self, kept: Counter[str], first: int, last: int) -> None:
        """What was read, dropped and kept, a line each reason."""
        from datetime import UTC, datetime

        console.say(f"{self.log.read:,} events read")
        for reason, count in self.dropped.items():
            if count:
                console.say(f"{count:,} dropped: {reason}")
        if kept["out of order"]:
            console.say(f"{kept['out of order']:,} stand before an earlier one of theirs; sorted by time")
        span = ""
        if kept["sessions"]:
            span = f", {' to '.join(f'{datetime.fromtimestamp(t, UTC):%Y-%m-%d}' for t in (first, last))}"
        users = f" of {kept['users']:,} users" if self.log.key == "user" else ""
        console.say(f"{kept['events']:,} kept, as the items of {kept['sessions']:,} sessions{users}{span}")
        if self.untitled:
            what = "left out" if self.config.untitled == "drop" else "kept without one"
            console.warn(
                f"{self.untitled} of {len(self.items)} items have no title in the catalogue, and are {what}"
            )
        assert self.log.read == kept["events"] + self.dropped.total()


EVENTS = Source(read, reads_logs=True)
