"""The `kdb` command, assembled from one file a subcommand."""

import os
from typing import Annotated

import typer

from kdb import __version__
from kdb.cli import extract, prompts
from kdb.cli.collect import collect
from kdb.cli.eval import eval_
from kdb.cli.exit_codes import prepare_streams
from kdb.cli.export import export
from kdb.cli.grid import grid
from kdb.cli.groups import PipeCommands, group
from kdb.cli.import_ import import_
from kdb.cli.infer import infer
from kdb.cli.rate import rate
from kdb.cli.report import report
from kdb.cli.select import select
from kdb.cli.train import train
from kdb.cli.why import why

app = group(
    PipeCommands,
    "Distil what a large teacher LLM knows about product bundling into a small student, and measure it. "
    "Every command reads and writes JSONL records, so that they can be piped.",
    "kdb import DATA --split test | kdb infer --baseline clusters | kdb eval",
    name="kdb",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Handle what stands before the subcommand."""
    if version:
        print(__version__)
        raise typer.Exit


app.command("import", short_help="Turn shop data into session records.")(import_)
app.add_typer(extract.app, name="extract", short_help="Draw knowledge from training sessions.")
app.command("select", short_help="Choose training sessions, or knowledge, and how much of it.")(select)
app.command("train", short_help="Train a LoRA adapter on sessions and knowledge.")(train)
app.command("infer", short_help="Predict the bundles of sessions.")(infer)
app.command("collect", short_help="List each distinct predicted bundle once.")(collect)
app.command("eval", short_help="Score predictions and compare runs.")(eval_)
app.command("report", short_help="Write a report from scores.")(report)
app.command("export", short_help="Merge an adapter into its student.")(export)
app.command("rate", short_help="Let a teacher rate the intents of predicted bundles.")(rate)
app.command("why", short_help="Show one session, what was predicted for it, and why.")(why)
app.command("grid", short_help="Turn a grid of experiments into rules for make.")(grid)
app.add_typer(prompts.app, name="prompts", short_help="Show the prompts of all models.")


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # no bars of libraries; read when the first of them is imported
    prepare_streams()
    app(prog_name="kdb")
