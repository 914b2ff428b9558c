"""`kdb eval`: predictions in, scores out."""

import sys
from pathlib import Path
from typing import Annotated

from typer import Option

from kdb import console
from kdb.cli.options import command
from kdb.cli.streams import StreamOptions
from kdb.errors import UsageError

Teacher = Annotated[
    Path | None, Option(help="Predictions of the teacher: what share of its quality and cost is this?")
]


@command
def eval_(
    streams: StreamOptions,
    by: Annotated[str, Option(help="Score slices of the sessions too: length, status, or both with a comma.")] = "",
    per_session: Annotated[
        bool, Option("--per-session", help="Write a record a session too, with its matches.")
    ] = False,
    teacher: Teacher = None,
    intersect: Annotated[bool, Option("--intersect", help="Score only the sessions that all runs have.")] = False,
    intents: Annotated[
        bool, Option("--intents", help="Compare the intents of matched bundles too; loads the embedder.")
    ] = False,
    best: Annotated[
        bool,
        Option("--best", help="Print only the name of the run with the highest matched F1, the mean of domains."),
    ] = False,
    seed: Annotated[int, Option(help="For bootstrap and permutations.")] = 0,
    json: Annotated[
        bool | None,
        Option("--json/--table", help="Records or tables.  [default: tables on a terminal]", show_default=False),
    ] = None,
) -> None:
    """Score predictions under both protocols, with 95 % bootstrap intervals, and compare runs.

    A table on a terminal; on a pipe one `metric` record for each run, domain and protocol. With several
    runs on the same sessions also a `comparison` record for each pair: paired tests, Holm-corrected.
    Annotated sessions in the input that a run has no prediction for count as failures.

    Example: kdb eval zero-shot.jsonl tuned.jsonl
    """
    from kdb.stages import eval as stage

    slices = tuple(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    if unknown := [name for name in slices if name not in stage.SLICES]:
        raise UsageError(f"--by {unknown[0]}: no such slice", f"one of {', '.join(stage.SLICES)}")
    options = stage.EvalOptions(slices, per_session, intersect, intents, seed)
    expert = streams.read_files([teacher], stage.KINDS) if teacher else None
    records = stage.evaluate(streams.read(*stage.KINDS), options, streams.bad, expert)
    if best:
        return console.show(stage.best(records))
    if json is None:
        json = per_session or streams.output is not None or not sys.stdout.isatty()
    if json:
        streams.write(records)
        return
    from kdb.cli.eval_tables import show

    show(records)
    streams.finish()
