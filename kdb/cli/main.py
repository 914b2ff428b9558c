"""The `kdb` command, assembled from one file a subcommand."""

from typing import Annotated

import typer

from kdb import __version__
from kdb.cli import extract, extract_teacher, prompts
from kdb.cli.eval import eval_
from kdb.cli.export import export
from kdb.cli.grid import grid
from kdb.cli.import_ import import_
from kdb.cli.infer import infer
from kdb.cli.rate import rate
from kdb.cli.report import report
from kdb.cli.select import select
from kdb.cli.train import train
from kdb.cli.why import why

app = typer.Typer(
    name="kdb",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Distil what a large teacher LLM knows about product bundling into a small student, and measure it. "
        "Every command reads and writes JSONL records, so that they can be piped."
    ),
)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Handle what stands before the subcommand."""
    if version:
        print(__version__)
        raise typer.Exit


app.add_typer(extract.app, name="extract")
extract.app.command("rule")(extract_teacher.rule)
extract.app.command("thought")(extract_teacher.thought)
app.add_typer(prompts.app, name="prompts")
app.command("import")(import_)
app.command("select")(select)
app.command("train")(train)
app.command("infer")(infer)
app.command("export")(export)
app.command("rate")(rate)
app.command("eval")(eval_)
app.command("report")(report)
app.command("why")(why)
app.command("grid")(grid)


def main() -> None:
    """Run the command line."""
    app()
