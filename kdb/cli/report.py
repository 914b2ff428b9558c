"""`kdb report`: metric records in, a report to read out."""

from pathlib import Path
from typing import Annotated

from typer import Option

from kdb import console
from kdb.cli.options import command
from kdb.cli.streams import RecordOptions
from kdb.errors import UsageError


@command
def report(
    streams: RecordOptions,
    output: Annotated[Path, Option("-o", "--output", help="The folder for the report.")],
    force: Annotated[bool, Option("--force", help="Overwrite the report in the folder.")] = False,
    title: Annotated[str, Option(help="What stands on top.")] = "Product bundling: results",
    note: Annotated[
        list[str] | None, Option(help="What readers must know of the data; repeatable.", show_default=False)
    ] = None,
    cell: Annotated[
        list[str] | None,
        Option(help="A run that belongs here, by name: it is marked as not run if absent.", show_default=False),
    ] = None,
) -> None:
    """Write report.md and a self-contained report.html from what kdb eval wrote.

    Runs stand in the order of the records. Versions and hashes are in `run` records: give the files of
    predictions too, of which nothing else is read. The records used are put beside the report.

    Example: kdb report metrics.jsonl zero-shot.jsonl tuned.jsonl -o report/
    """
    from kdb import stream
    from kdb.stages import report as stage

    files = stage.run(streams.read(*stage.KINDS), title, note or [], cell or [])
    there = [output / name for name in files if (output / name).exists()]
    if there and not force:
        raise UsageError(f"{there[0]} exists", "name another folder or pass --force")
    for name, content in files.items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with stream.output(path, force) as file:
            file.write(content)
    console.say(f"wrote {output / 'report.html'} and {output / 'report.md'}")
    streams.finish()
