"""Events to sessions, beside the plainest Polars script that does the same: the same sessions, time and memory.

    python tests/bench/events.py [EVENTS...]      (default: 1,000,000 and 10,000,000)

The log is CSV: a user has 20 events on average in four visits, of items drawn by falling popularity; the catalogue
holds a title and a category for each. The script guesses types and checks no row; it sorts, cuts, joins, and
writes JSON lines. Each way runs in a process of its own, in turn, and the least of its times counts. Both use all
cores. The ratio of processor times can be had on a busy machine too. Four hundred bytes of disk an event are
needed, below $TMPDIR; 100,000,000 events take six minutes on two cores.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import numpy as np
from rows import Row, conclude

GOAL_TIME, GOAL_GIB = 1 / 1.5, 16
GAP, SMALLEST, LARGEST = 1800, 2, 20
BLOCK = 5_000_000


def write_shop(folder: Path, count: int) -> None:
    import polars as pl

    rng = np.random.default_rng(0)
    users, items = max(count // 20, 1), max(count // 200, 1000)
    with (folder / "log.csv").open("wb") as file:
        file.write(b"user,item,time,event\n")
        for begin in range(0, count, BLOCK):
            size = min(BLOCK, count - begin)
            user = rng.integers(0, users, size)
            visit = 1_700_000_000 + rng.integers(0, 4, size) * 432_000 + user * 7919 % 86_400
            frame = pl.DataFrame(
                {
                    "user": user,
                    "item": (items * rng.random(size) ** 2).astype(int),
                    "time": visit + rng.integers(0, 3000, size),
                    "event": np.where(rng.random(size) < 0.8, "view", "cart"),
                }
            )
            frame.select(code("U", "user"), code("B", "item"), "time", "event").write_csv(
                file, include_header=False
            )
    title = pl.format("Product {} of the shop, in blue", "item")
    catalogue = pl.DataFrame({"item": np.arange(items)})
    catalogue.select(code("B", "item"), title=title, category=pl.format("Home > Room {}", "item")).write_csv(
        folder / "items.csv"
    )


def code(letter: str, name: str):
    import polars as pl

    return pl.format(f"{letter}{{}}", pl.col(name).cast(pl.String).str.zfill(9)).alias(name)


def by_kdb(folder: Path, output: Path) -> None:
    from kdb.io import stream
    from kdb.sources.config import EventConfig, ImportConfig
    from kdb.stages.import_ import import_sessions

    config = ImportConfig(log=EventConfig([folder / "items.csv"], min_items=SMALLEST, max_items=LARGEST))
    with output.open("wb") as file:
        stream.write(import_sessions("events", [folder / "log.csv"], config, stream.Rejects()), file)


def by_script(folder: Path, output: Path) -> None:
    import polars as pl

    user, second = pl.col("user"), pl.col("time")
    new = ((user != user.shift(1)) | (second - second.shift(1) > GAP)).fill_null(True)
    sessions = (
        pl.scan_csv(folder / "log.csv")
        .sort("user", "time", maintain_order=True)
        .with_columns(number=new.cum_sum())
        .unique(["number", "item"], keep="first", maintain_order=True)
        .join(pl.scan_csv(folder / "items.csv"), on="item", how="left", maintain_order="left")
        .group_by("number", maintain_order=True)
        .agg(user.first(), second.first(), items=pl.struct(pl.col("item").alias("id"), "title", "category"))
        .filter(pl.col("items").list.len().is_between(SMALLEST, LARGEST))
    )
    sessions.sink_ndjson(output, check_extension=False)


WAYS = {"kdb": by_kdb, "script": by_script}


def measure(way: str, folder: Path) -> None:
    """In a child process: make the sessions, and print what that took; what they are is hashed in another one."""
    output = folder / f"{way}.jsonl"
    began = time.perf_counter()
    WAYS[way](folder, output)
    seconds = time.perf_counter() - began
    used = getrusage(RUSAGE_SELF)
    gib = used.ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "gib": gib}))


def digest(path: Path) -> list[int]:
    """Of the sessions in a file, in whatever order: how many, and the sum of the hashes of user, time and items."""
    import polars as pl

    schema = {"user": pl.String, "time": pl.Int64, "items": pl.List(pl.Struct({"id": pl.String}))}
    ids = pl.col("items").list.eval(pl.element().struct.field("id")).list.join(",")
    one = pl.concat_str("user", pl.col("time").cast(pl.String), ids, separator=" ").hash(0) % (1 << 31)
    return list(pl.scan_ndjson(path, schema=schema).select(pl.len(), one.sum()).collect(engine="streaming").row(0))


def compared(count: int) -> Iterator[Row]:
    """Time and memory of the two for so many events."""
    runs: dict[str, list[dict]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="kdb-bench-") as name:
        folder = Path(name)
        write_shop(folder, count)
        for way in [*WAYS] * (3 if count <= 1_000_000 else 2 if count <= 10_000_000 else 1):
            child = [sys.executable, __file__, way, name]
            printed = subprocess.run(child, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
            runs[way].append(json.loads(printed))
        found = [digest(folder / f"{way}.jsonl") for way in WAYS]
    if found[0] != found[1]:
        raise SystemExit(f"the two make different sessions: {found}")
    least = {f: {way: min(run[f] for run in runs[way]) for way in WAYS} for f in ("seconds", "cpu", "gib")}
    figures = {f"{way}_{figure}": value for figure, by in least.items() for way, value in by.items()}
    figures["sessions"] = found[0][0]
    what = f"{count:,} events to sessions"
    times = least["seconds"]["script"] / least["seconds"]["kdb"]
    yield Row(what, "the plainest Polars script", times, round(GOAL_TIME, 3), figures)
    yield Row(
        f"{what}, processor time", "the same", least["cpu"]["script"] / least["cpu"]["kdb"], round(GOAL_TIME, 3), {}
    )
    yield Row(f"memory for {what}", f"{GOAL_GIB} GiB", GOAL_GIB / least["gib"]["kdb"], 1, {})


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] in WAYS:
        return measure(sys.argv[1], Path(sys.argv[2]))
    counts = [int(text) for text in sys.argv[1:]] or [1_000_000, 10_000_000]
    conclude(*(row for count in counts for row in compared(count)))


if __name__ == "__main__":
    main()
