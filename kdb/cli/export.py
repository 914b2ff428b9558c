"""`kdb export`: an adapter in, a model folder that needs neither kdb nor PEFT out."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Option

from kdb.cli.options import command
from kdb.cli.streams import InputOptions
from kdb.cli.student import Device


class Written(StrEnum):
    """The precision of weights in a folder."""

    fp32 = "fp32"
    bf16 = "bf16"


@command
def export(
    streams: InputOptions,
    adapter: Annotated[Path, Option(help="A folder made by kdb train.", show_default=False)],
    output: Annotated[Path, Option("-o", "--output", help="The folder for the model.", show_default=False)],
    force: Annotated[bool, Option("--force", help="Overwrite the folder.")] = False,
    precision: Annotated[
        Written, Option(help="How weights are written; bf16 halves them, and rounds what the adapter adds.")
    ] = Written.fp32,
    check: Annotated[
        list[Path] | None,
        Option(help="Session records to compare the model with the adapter on; repeatable.  [default: a few]"),
    ] = None,
    device: Device = "",
) -> None:
    """Merge an adapter into its student: a Transformers folder that any program loads; prints a `run` record.

    Merged weights must predict as the adapter does, in fp32 on a few sessions. Before the folder gets its name, it
    is loaded in the precision of kdb infer and compared on the sessions of --check: how many predictions differ,
    and how far logits do, for rounding to bf16 can change some. kdb infer --student FOLDER then asks and decides
    as with the adapter.

    Example: kdb export --adapter adapter/ -o model/
    """
    from kdb import stream
    from kdb.errors import KdbError
    from kdb.records import Session
    from kdb.stages import export as stage

    lines = streams.read_files(check, ("session",)) if check else ()
    sessions = [line.record for line in lines if isinstance(line.record, Session)]
    if check and not sessions:
        raise KdbError("no session in what --check names", "kdb import DATA -o FILE")
    record = stage.run(sessions, stage.ExportOptions(adapter, output, precision.value, device, force))
    with stream.output(None) as file:
        stream.write([record], file)
    streams.finish()
