"""`kdb collect`: one list of distinct bundles from the predictions of many sessions."""

from typing import Annotated, Literal

from typer import Option

from kdb.cli.options import command
from kdb.cli.streams import StreamOptions
from kdb.stages.collect import CollectConfig


@command
def collect(
    streams: StreamOptions,
    config: CollectConfig,
    format_: Annotated[
        Literal["jsonl", "csv"], Option("--format", help="Records, or a table for a shop.")
    ] = "jsonl",
) -> None:
    """List each distinct predicted bundle once: its items, most frequent intent, and how often it is predicted.

    A `bundle` record each, with the number of sessions and users, the mean probability, and the first and
    last time. Give the session records too, and items have their titles. All input is read first.

    Example: kdb collect predictions.jsonl test.jsonl --min-users 2 --format csv -o bundles.csv
    """
    from kdb.stages.collect import KINDS, as_csv, collect_bundles

    bundles = collect_bundles(streams.read(*KINDS), config)
    streams.write(as_csv(bundles) if format_ == "csv" else bundles)
