"""Every time that a bundle is predicted, kept in parts on disk and counted part by part: memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from kdb.collection.similar import representatives
from kdb.records import Prediction

if TYPE_CHECKING:
    import polars as pl

PARTS = 32
BATCH = 200_000  # occurrences held in memory
COLUMNS = ("domain", "items", "id", "user", "time", "intent", "probability")


@dataclass
class Occurrences:
    """The bundles of predictions, one row for each session that has one, in Parquet files below `folder`."""

    folder: Path
    count: int = 0
    _held: list[tuple[object, ...]] = field(default_factory=list)

    def add(self, prediction: Prediction) -> None:
        """Take in the bundles of one session."""
        user = None if prediction.user is UNSET else str(prediction.user)
        time = None if prediction.time is UNSET else prediction.time
        for bundle in prediction.bundles:
            items = msgspec.json.encode(sorted(bundle.items)).decode()
            probability = None if bundle.probability is UNSET else bundle.probability
            self._held.append((prediction.domain, items, prediction.id, user, time, bundle.intent, probability))
        if len(self._held) >= BATCH:
            self._write()

    def counted(self, similar: float) -> Iterator[pl.DataFrame]:
        """Part by part, a row for each distinct bundle: see `count_bundles`.

        Below 1 for `similar`, bundles whose Jaccard similarity is that or more are one, under the items of the most
        frequent.
        """
        self._write()
        folder = self._merged(similar) if similar < 1 else self.folder / "as-predicted"
        for number in range(PARTS):
            files = _files(folder, number)
            if files:
                yield count_bundles(files)

    def _write(self) -> None:
        import polars as pl

        schema = {name: pl.Float64 if name in ("time", "probability") else pl.String for name in COLUMNS}
        frame = pl.DataFrame(self._held, schema, orient="row")
        _cut(frame.lazy(), self.folder / "as-predicted" / f"{self.count:06}")
        self.count += 1
        self._held.clear()

    def _merged(self, similar: float) -> Path:
        """The occurrences once more, under the items of the bundle that stands for theirs."""
        import polars as pl

        counts = [
            pl.scan_parquet(files).group_by("domain", "items").agg(n=pl.col("id").n_unique()).collect()
            for files in (_files(self.folder / "as-predicted", number) for number in range(PARTS))
            if files
        ]
        ordered = pl.concat(counts).sort("domain", "n", "items", descending=[False, True, False])
        names = []
        for (_,), frame in ordered.group_by("domain", maintain_order=True):
            items = frame["items"].to_list()
            chosen = representatives([msgspec.json.decode(text, type=list[str]) for text in items], similar)
            names.append(frame.select("domain", "items", representative=pl.Series([items[n] for n in chosen])))
        standing = pl.concat(names).lazy()
        merged = self.folder / "merged"
        for number in range(PARTS):
            files = _files(self.folder / "as-predicted", number)
            if files:
                rows = pl.scan_parquet(files).join(standing, on=["domain", "items"], how="left")
                renamed = rows.with_columns(items="representative").select(COLUMNS)
                _cut(renamed, merged / f"{number:06}")
        return merged


def count_bundles(files: list[Path]) -> pl.DataFrame:
    """A row for each `domain` and `items` (a JSON list).

    `intent`: the most frequent, of equals the first by text; `sessions` and `users`: how many different ones;
    `probability`: the mean of those that are known; `first` and `last` time. Null where nothing is known.
    """
    import polars as pl

    rows = pl.read_parquet(files)
    key = ["domain", "items"]
    intents = rows.filter(pl.col("intent") != "").group_by(*key, "intent").len()
    typical = intents.sort("len", "intent", descending=[True, False]).group_by(key).agg(pl.col("intent").first())
    counted = rows.group_by(key).agg(
        sessions=pl.col("id").n_unique(),
        users=pl.col("user").drop_nulls().n_unique(),
        probability=pl.col("probability").mean(),
        first=pl.col("time").min(),
        last=pl.col("time").max(),
    )
    return counted.join(typical, on=key, how="left")


def _cut(frame: pl.LazyFrame, folder: Path) -> None:
    import polars as pl

    part = pl.concat_str("domain", "items", separator="\n").hash(0) % PARTS
    by_part = pl.PartitionBy(folder, key="part", include_key=False, approximate_bytes_per_file=1 << 62)
    frame.with_columns(part=part.cast(pl.UInt8)).sink_parquet(by_part, compression="lz4", mkdir=True)


def _files(folder: Path, part: int) -> list[Path]:
    return sorted(folder.glob(f"*/part={part}/*.parquet"), key=lambda path: path.parts[-3:])
