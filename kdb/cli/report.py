"""`kdb report`: metric records in, a report to read out."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from kdb import console
from kdb.cli.options import Given, command
from kdb.cli.streams import RecordOptions
from kdb.errors import UsageError
from kdb.report.options import ReportOptions

Format = Literal["text", "markdown", "csv", "latex"]


@command
def report(
    streams: RecordOptions,
    options: ReportOptions,
    given: Given,
    output: Annotated[
        Path | None, Option("-o", "--output", help="The folder for the report.", show_default=False)
    ] = None,
    force: Annotated[bool, Option("--force", help="Overwrite the report in the folder.")] = False,
    table: Annotated[
        str, Option(help="Print one table instead: summary, runs, format, quantity, utilization, seeds, ...")
    ] = "",
    format: Annotated[Format, Option(help="How --table prints.")] = "text",
) -> None:
    """Write report.html (one file, no script), report.md, tables.tex, tables.csv and figures (SVG and PDF).

    Choose the baseline and the student on validation sessions and name them; otherwise the best on these
    sessions are taken, and the report says so. Versions and hashes are in `run` records, and three sessions are
    shown from predictions and session records: give these files too. The records used are put beside the report.

    Example: kdb report metrics.jsonl zero-shot.jsonl tuned.jsonl test.jsonl -o report/
    """
    from kdb.io import stream
    from kdb.stages import report as stage

    if table:
        given.refuse("output force title note", "--table")
        console.show(stage.table(streams.read(*stage.KINDS), options, table, format).removesuffix("\n"))
        return streams.finish()
    given.refuse("format", "a report, only with --table")
    if output is None:
        raise UsageError("where should the report go?", "-o FOLDER, or --table NAME to print one table")
    files = stage.files(streams.read(*stage.KINDS), options)
    there = [output / name for name in files if (output / name).exists()]
    if there and not force:
        raise UsageError(f"{there[0]} exists", "name another folder or pass --force")
    for name, content in files.items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with stream.output(path, force) as file:
            file.write(content)
    console.say(f"wrote {output / 'report.html'}, report.md, tables.tex, tables.csv and figures/")
    streams.finish()
