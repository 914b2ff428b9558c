"""`kdb prompts`: what models are asked, to be read by people."""

from typing import Annotated

import typer

from kdb import console
from kdb.cli.groups import Commands, group
from kdb.cli.options import command
from kdb.cli.streams import MessageOptions, RecordOptions
from kdb.errors import KdbError

app = group(
    Commands,
    "Show the prompts of all models, which are text files in one folder.",
    "kdb prompts show thought samples/sessions.jsonl",
)


@app.command("list", short_help="List the prompts with their hashes.")
@command
def list_(messages: MessageOptions) -> None:
    """List the prompts with their hashes, which records carry.

    Example: kdb prompts list
    """
    from kdb import prompts

    for name in prompts.names():
        console.show(f"{prompts.template_hash(name)}  {name}")


@app.command(short_help="Print a prompt as a model reads it.")
@command
def show(
    streams: RecordOptions,
    name: Annotated[str, typer.Argument(help="The prompt; `kdb prompts list` lists them.")],
    session: Annotated[str, typer.Option(help="The id of a session.  [default: the first]")] = "",
) -> None:
    """Print a prompt as a model would read it, filled in for one session.

    Example: kdb prompts show thought samples/sessions.jsonl
    """
    from kdb.records import Session
    from kdb.stages.prompts import rendered

    for line in streams.read("session"):
        if isinstance(line.record, Session) and session in ("", line.record.id):
            return console.show(rendered(name, line.record))
    raise KdbError(f"there is no session {session!r}" if session else "there is no session")
