"""`kdb import`: shop data into session records."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option

from kdb.cli.streams import Streams, with_streams
from kdb.errors import UsageError

if TYPE_CHECKING:
    from kdb.stages.import_ import Settings

Source = Annotated[Path, Argument(metavar="DIR", help="BundleRec folder; with --format jsonl a file or '-'.")]
Domain = Annotated[str, Option("--domain", help="Default: the folder's name; with jsonl as the records say.")]
Titles = Annotated[Path | None, Option(help="CSV file with titles for items that have none.")]
Untitled = Annotated[
    Literal["fail", "drop", "keep"],
    Option(help="What to do where items have no title, which in the public data gives the answer away."),
]
Truth = Annotated[
    Literal["minimal", "raw"],
    Option(help="minimal: without bundles that repeat or contain another one of their session."),
]
Empty = Annotated[
    Literal["keep", "drop"] | None,
    Option(help="Sessions without bundles. Default: drop; with jsonl keep.", show_default=False),
]
SplitFile = Annotated[Path | None, Option(help="JSON with the session ids of train, validation and test.")]
SplitRatio = Annotated[str, Option(metavar="7:1:2", help="Draw train, validation and test by --seed.")]
Seed = Annotated[int, Option(help="For --split-ratio.")]
Only = Annotated[
    list[str] | None,
    Option("--split", help="Only these: train, validation, test; repeated or with commas.", show_default=False),
]
Format = Annotated[Literal["bundlerec", "jsonl"], Option("--format", help="What is read.")]


@with_streams(without=("paths",))
def import_(
    streams: Streams,
    source: Source = Path("-"),
    format_: Format = "bundlerec",
    domain: Domain = "",
    titles: Titles = None,
    untitled: Untitled = "fail",
    truth: Truth = "minimal",
    empty: Empty = None,
    split_file: SplitFile = None,
    split_ratio: SplitRatio = "",
    seed: Seed = 0,
    only: Only = None,
) -> None:
    """Turn a BundleRec folder, or session records of any shop, into session records.

    The domain is the folder's name unless told otherwise. What was left out is counted on stderr.

    Example: kdb import data/electronic --titles data/electronic/item_titles_extra.csv
    --split-file data/electronic/split.json --split train > train.jsonl
    """
    from kdb.sources import splits
    from kdb.stages.import_ import Settings, from_bundlerec, from_jsonl

    jsonl = format_ == "jsonl"
    settings = Settings(
        domain=domain,
        titles=titles,
        untitled=untitled,
        truth=truth,
        empty=empty or ("keep" if jsonl else "drop"),
        split_file=split_file,
        split_ratio=splits.parse_ratio(split_ratio) if split_ratio else None,
        seed=seed,
        only=splits.parse_names(only or []),
    )
    _check(settings, source, jsonl)
    if jsonl:
        lines = streams.read_files([source], () if domain else ("session",))
        streams.write(from_jsonl(lines, settings, streams.bad))
    else:
        streams.write(from_bundlerec(source, settings, streams.bad))


def _check(settings: "Settings", source: Path, jsonl: bool) -> None:
    """UsageError where options contradict each other."""
    if settings.split_file and settings.split_ratio:
        raise UsageError("--split-file and --split-ratio exclude each other")
    if jsonl and (settings.titles or settings.untitled == "drop"):
        raise UsageError("--titles and --untitled drop are for BundleRec folders", "jsonl holds its own titles")
    if not jsonl and not source.is_dir():
        raise UsageError(f"{source}: not a folder", "for session records pass --format jsonl")
    if not jsonl and settings.only and not (settings.split_file or settings.split_ratio):
        raise UsageError("--split needs to know the splits", "pass --split-file or --split-ratio")
