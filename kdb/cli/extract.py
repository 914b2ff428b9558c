"""`kdb extract`: draws knowledge from training sessions, one subcommand a format."""

from contextlib import nullcontext
from typing import Annotated, Literal

import typer

from kdb.cli.groups import Commands, group
from kdb.cli.options import command
from kdb.cli.streams import StreamOptions
from kdb.errors import UsageError

app = group(
    Commands,
    "Draw knowledge from training sessions: one subcommand a format of knowledge.",
    "kdb extract pattern train.jsonl -o kb.jsonl",
)


@app.command(short_help="Mine which categories are bought together.")
@command
def pattern(
    streams: StreamOptions,
    level: Annotated[int, typer.Option(min=1, help="How many names of a category path make a category.")] = 4,
    min_support: Annotated[
        float,
        typer.Option(min=0, max=1, help="The least share of a domain's bundles (and never below 2 of them)."),
    ] = 0.005,
    min_confidence: Annotated[
        float,
        typer.Option(min=0, max=1, help="The least share of the bundles with one side that hold the other."),
    ] = 0.2,
    max_size: Annotated[int, typer.Option(min=2, help="The most products in a pattern, both sides together.")] = 3,
    allow_test: Annotated[bool, typer.Option("--allow-test", help="Mine sessions of the test split too.")] = False,
    engine: Annotated[
        Literal["embedded", "spark"],
        typer.Option(help="What finds frequent sets: this process, or Spark (needs the extra `spark` and Java)."),
    ] = "embedded",
    master: Annotated[
        str | None, typer.Option(help="Spark's master, as spark://HOST:7077.", show_default="local[*]")
    ] = None,
) -> None:
    """Mine which categories are bought together: association rules over the categories of true bundles.

    Needs no teacher. Each domain is mined by itself, from training sessions only. Patterns follow the input.

    Example: kdb import DATA --split train | kdb extract pattern > kb.jsonl
    """
    from kdb.extraction import itemsets, spark
    from kdb.extraction.patterns import MiningConfig
    from kdb.stages import extract_pattern as stage

    if master and engine != "spark":
        raise UsageError("--master is Spark's", "give --engine spark with it")
    mining = MiningConfig(level, min_support, min_confidence, max_size)
    with spark.engine(master or spark.LOCAL) if engine == "spark" else nullcontext(itemsets.frequent) as frequent:
        streams.write(stage.run(streams.read(*stage.KINDS), mining, allow_test, frequent))
