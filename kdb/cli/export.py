"""`kdb export`: an adapter as a model folder that needs neither kdb nor PEFT, or sessions as a sheet to fill in."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from kdb.cli.options import Given, command
from kdb.cli.streams import RecordOptions
from kdb.cli.student import DeviceOptions
from kdb.errors import UsageError

Form = Literal["transformers", "encoder", "gguf"]
Outtype = Literal["f32", "f16", "bf16", "q8_0"]
"""The types of weights in a GGUF file, by llama.cpp's names."""
MODEL_ONLY = "adapter output form outtype precision check device"


@command
def export(
    streams: RecordOptions,
    given: Given,
    hardware: DeviceOptions,
    adapter: Annotated[Path | None, Option(help="A folder made by kdb train.", show_default=False)] = None,
    output: Annotated[
        Path | None, Option("-o", "--output", help="The folder for the model.", show_default=False)
    ] = None,
    sheet: Annotated[
        Path | None, Option(help="Write session records as CSV, for people to label.", show_default=False)
    ] = None,
    force: Annotated[bool, Option("--force", help="Overwrite the output.")] = False,
    form: Annotated[
        Form,
        Option(
            "--format",
            help="The whole model, the blocks alone that a pairs student reads, or one file for llama.cpp.",
        ),
    ] = "transformers",
    outtype: Annotated[Outtype, Option(help="The type of weights in a GGUF file.")] = "f16",
    precision: Annotated[
        Literal["fp32", "bf16"],
        Option(help="How weights are written; bf16 halves them, and rounds what the adapter adds."),
    ] = "fp32",
    check: Annotated[
        list[Path] | None,
        Option(help="Session records to compare the model with the adapter on; repeatable.  [default: a few]"),
    ] = None,
) -> None:
    """Merge an adapter into its student: a Transformers folder that any program loads; prints a `run` record.

    With --sheet, write sessions as a table instead, a row for each item: fill in any label in the column bundle,
    the same for items that belong together, and an intent; kdb import --format sheet reads it back.

    Merged weights must predict as the adapter does, in fp32 on a few sessions. Before the folder gets its name, it
    is loaded in the precision of kdb infer and compared on the sessions of --check: how many predictions differ,
    and how far logits do, for rounding to bf16 can change some. kdb infer --student FOLDER then asks and decides
    as with the adapter.

    A student of the answer format pairs needs of a server the states of tokens: --format encoder is for vLLM's
    pooling, gguf for llama.cpp's embeddings, and the folder is what kdb infer --student takes beside --url. A GGUF
    file of a student that writes has a Modelfile for Ollama beside it.

    Example: kdb export --adapter adapter/ -o model/
    """
    from kdb.errors import KdbError
    from kdb.io import stream
    from kdb.records import Session
    from kdb.stages import export as stage

    if sheet:
        given.refuse(MODEL_ONLY, "--sheet, which writes sessions")
        return _write_sheet(streams, sheet, force)
    if not (adapter and output) or streams.paths:
        raise UsageError(
            "--adapter and -o, or --sheet with session records", "kdb export SESSIONS --sheet FILE.csv"
        )
    given.refuse("precision" if form == "gguf" else "outtype", f"--format {form}")
    lines = streams.read_files(check, ("session",)) if check else ()
    sessions = [line.record for line in lines if isinstance(line.record, Session)]
    if check and not sessions:
        raise KdbError("no session in what --check names", "kdb import DATA -o FILE")
    options = stage.ExportOptions(adapter, output, form, precision, outtype, hardware.device, force)
    record = stage.export(sessions, options)
    with stream.output(None) as file:
        stream.write([record], file)
    streams.finish()


def _write_sheet(streams: RecordOptions, sheet: Path, force: bool) -> None:
    from kdb.io import stream
    from kdb.records import Session
    from kdb.sources.sheet import sheet_rows

    records = (line.record for line in streams.read("session"))
    with stream.output(sheet, force) as file:
        stream.write(sheet_rows(record for record in records if isinstance(record, Session)), file)
    streams.finish()
