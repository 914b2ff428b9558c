"""The `kdb` command, assembled from one file a subcommand."""

import os
from typing import Annotated

import typer

from kdb import __version__
from kdb.cli.exit_codes import prepare_streams
from kdb.cli.groups import LazyCommands, group

COMMANDS = {
    "import": ("kdb.cli.import_:import_", "Turn shop data into session records."),
    "extract": ("kdb.cli.extract:app", "Draw knowledge from training sessions."),
    "select": ("kdb.cli.select:select", "Choose training sessions, or knowledge, and how much of it."),
    "train": ("kdb.cli.train:train", "Train a LoRA adapter on sessions and knowledge."),
    "infer": ("kdb.cli.infer:infer", "Predict the bundles of sessions."),
    "collect": ("kdb.cli.collect:collect", "List each distinct predicted bundle once."),
    "eval": ("kdb.cli.eval:eval_", "Score predictions and compare runs."),
    "report": ("kdb.cli.report:report", "Write a report from scores."),
    "export": ("kdb.cli.export:export", "Merge an adapter into its student."),
    "rate": ("kdb.cli.rate:rate", "Let a teacher rate the intents of predicted bundles."),
    "why": ("kdb.cli.why:why", "Show one session, what was predicted for it, and why."),
    "grid": ("kdb.cli.grid:grid", "Turn a grid of experiments into rules for make."),
    "prompts": ("kdb.cli.prompts:app", "Show the prompts of all models."),
}
"""Where each command is defined and what it does: the pipe in its order, then the others."""


class KdbCommands(LazyCommands):
    """The subcommands of `kdb`."""

    table = COMMANDS


app = group(
    KdbCommands,
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


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # no bars of libraries; read when the first of them is imported
    prepare_streams()
    app(prog_name="kdb")
