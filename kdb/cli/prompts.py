"""`kdb prompts`: what models are asked, to be read by people."""

from typing import Annotated

import typer

from kdb.cli.streams import Streams, with_streams
from kdb.errors import KdbError

app = typer.Typer(no_args_is_help=True, help="Show the prompts, all of which are text files in one folder.")


@app.command("list")
def list_() -> None:
    """List the prompts with their hashes, which records carry."""
    from kdb import prompts

    for name in prompts.names():
        print(f"{prompts.template_hash(name)}  {name}")


@app.command()
@with_streams(without=("output", "force", "keep_going", "rejects"))
def show(
    streams: Streams,
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
            return print(rendered(name, line.record))
    raise KdbError(f"there is no session {session!r}" if session else "there is no session")
