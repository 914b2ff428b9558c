"""`kdb import`: shop data into session records."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from kdb.cli.options import Given, command
from kdb.cli.streams import ImportOptions
from kdb.errors import UsageError
from kdb.registry import load
from kdb.sources import SOURCES
from kdb.sources.config import ImportConfig

Source = Annotated[
    list[Path] | None,
    Argument(
        metavar="DATA", help="BundleRec folder; else files or folders, '-' or none: stdin.", show_default=False
    ),
]
Format = Annotated[str, Option("--format", metavar="NAME", help=f"What is read: {', '.join(SOURCES)}.")]
Columns = Annotated[
    str,
    Option(
        metavar="ROLE=NAME,...",
        help="events: the columns of user, item, time, event, session, title, category, and product (the item in "
        "the catalogue); or of recbole, yoochoose, diginetica, amazon.",
    ),
]
Gap = Annotated[str, Option(help="events: a session ends after so long without one: 90s, 30m, 8h, 1d.")]
SplitFile = Annotated[Path | None, Option(help="JSON with the session ids of train, validation and test.")]
SplitRatio = Annotated[str, Option(metavar="7:1:2", help="Shares of train, validation and test.")]
SplitBy = Annotated[
    Literal["session", "user", "time"],
    Option(help="For --split-ratio: draw sessions or users by --seed, or go by time."),
]
SplitTime = Annotated[
    str, Option(metavar="A,B", help="Validation begins at A, test at B, such as 2024-01-01,2024-02-01 (UTC).")
]
Seed = Annotated[int, Option(help="For --split-ratio.")]
Only = Annotated[
    list[str] | None,
    Option("--split", help="Only these: train, validation, test; repeated or with commas.", show_default=False),
]


@command
def import_(
    streams: ImportOptions,
    *,
    given: Given,
    source: Source = None,
    format_: Format = "bundlerec",
    config: ImportConfig,
    columns: Columns = "",
    gap: Gap = "30m",
    split_file: SplitFile = None,
    split_ratio: SplitRatio = "",
    split_by: SplitBy = "session",
    split_time: SplitTime = "",
    seed: Seed = 0,
    only: Only = None,
) -> None:
    """Turn a shop's data into session records: its log of events, the BundleRec data, records, or a filled sheet.

    What was left out is counted on stderr.

    Example: kdb import --format events clicks.csv.gz --catalogue items.jsonl --gap 30m --split-ratio 7:1:2
    --split-by time > sessions.jsonl
    """
    from kdb.sources import splits
    from kdb.sources.events.columns import parse_columns, parse_gap
    from kdb.stages.import_ import import_sessions

    if len([option for option in (split_file, split_ratio, split_time) if option]) > 1:
        raise UsageError("--split-file, --split-ratio and --split-time exclude each other")
    drawn = [given[name] for name in ("split_by", "seed") if name in given]
    if drawn and not split_ratio:
        raise UsageError(f"{drawn[0]} goes with --split-ratio", "such as --split-ratio 7:1:2")
    if split_by == "time":
        given.refuse("seed", "--split-by time")
    if load(SOURCES, format_, "--format").reads_logs:
        given.refuse("truth", f"--format {format_}, which has no bundles")
    ratio = splits.parse_ratio(split_ratio) if split_ratio else None
    times = splits.parse_times(split_time) if split_time else None
    config = replace(
        config,
        log=replace(config.log, columns=parse_columns(columns), gap=parse_gap(gap)),
        split=splits.SplitRule(split_file, ratio, split_by, times, seed),
        only=splits.parse_names(only or []),
    )
    streams.write(import_sessions(format_, source or [Path("-")], config, streams.bad))
