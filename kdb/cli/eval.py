"""`kdb eval`: predictions in, scores out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Option

from kdb import console
from kdb.cli.options import Given, command
from kdb.cli.streams import StreamOptions
from kdb.errors import UsageError
from kdb.evaluation import METRICS
from kdb.registry import check

if TYPE_CHECKING:
    from kdb.evaluation.reference import Reference

Teacher = Annotated[
    Path | None, Option(help="Predictions of the teacher: what share of its quality and cost is this?")
]


@command
def eval_(
    streams: StreamOptions,
    given: Given,
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
    reference: Annotated[
        str,
        Option(
            metavar="NAME|METRICS",
            help="What runs are compared with: a run's name, or metrics on validation, of which the best baseline.",
            show_default=False,
        ),
    ] = "",
    question: Annotated[
        list[str] | None,
        Option(
            metavar="TAG=LEVEL",
            help="Compare the levels of a tag with this one; repeatable.  [default: those of the paper]",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        Literal["auto", "records", "table"], Option(help="auto: a table on a terminal, else records.")
    ] = "auto",
    full: Annotated[bool, Option("--full", help=f"Tables of all metrics: {', '.join(METRICS)}.")] = False,
) -> None:
    """Score predictions under both protocols, with 95 % bootstrap intervals, and compare runs.

    A table and a sentence on a terminal; on a pipe one `metric` record for each run, domain and protocol, and
    `comparison` records: each student against the best baseline, and each level of a question against its
    reference, tested in pairs and Holm-corrected within their family. Runs that differ in the tag seed alone are
    averaged. Annotated sessions in the input that a run has no prediction for count as failures.

    Example: kdb eval clusters.jsonl tuned.jsonl
    """
    from kdb.stages import eval as stage

    slices = tuple(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    for slice_ in slices:
        check(stage.SLICES, slice_, "--by")
    if best:
        given.refuse("output by per_session teacher intents seed reference question format full", "--best")
    if format == "records":
        given.refuse("full", "--format records")
    if full or format == "table":
        given.refuse("output per_session", "--full" if full else "--format table")
    options = stage.EvalOptions(
        slices, per_session, intersect, intents, seed, _reference(streams, reference), _questions(question)
    )
    expert = streams.read_files([teacher], stage.KINDS) if teacher else None
    records = stage.evaluate(streams.read(*stage.KINDS), options, streams.bad, expert)
    if best:
        console.show(stage.best(records))
        return streams.finish()
    on_terminal = sys.stdout.isatty() and streams.output is None and not per_session
    if format == "records" or (format == "auto" and not on_terminal and not full):
        return streams.write(records)
    from kdb.cli.eval_tables import show

    show(records, full)
    streams.finish()


def _reference(streams: StreamOptions, given: str) -> Reference:
    """A file of metrics, of which the best baseline; anything else is a name."""
    from kdb.evaluation.reference import Reference

    if not given or not Path(given).is_file():
        return Reference((given,) if given else ())
    lines = streams.read_files([Path(given)], ("metric",))
    return Reference.best_of((line.record for line in lines), given)


def _questions(given: list[str] | None) -> Mapping[str, str]:
    """Tags and their reference levels."""
    from kdb.evaluation.families import QUESTIONS

    pairs = [text.partition("=") for text in given or ()]
    if wrong := [tag for tag, _, level in pairs if not tag or not level]:
        raise UsageError(f"--question {wrong[0]}: not TAG=LEVEL", "such as --question format=none")
    return {tag: level for tag, _, level in pairs} or QUESTIONS
