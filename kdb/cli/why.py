"""`kdb why`: one session, as a person wants to read it."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from kdb.cli.options import command
from kdb.cli.streams import InputOptions


@command
def why(
    streams: InputOptions,
    session: Annotated[str, Argument(help="The id of the session.", show_default=False)],
    run: Annotated[
        list[Path] | None,
        Option(
            help="Predictions; repeatable, to see runs beside each other; '-' or none: stdin.", show_default=False
        ),
    ] = None,
    kb: Annotated[
        list[Path] | None,
        Option(help="The training sessions and knowledge that the run drew on; repeatable.", show_default=False),
    ] = None,
    sessions: Annotated[
        list[Path] | None, Option(help="Session records, for the titles; repeatable.", show_default=False)
    ] = None,
    domain: Annotated[str, Option(help="Where several have a session of that id.", show_default=False)] = "",
) -> None:
    """Print a session: items, true and predicted bundles, what the student was shown and said, and its score.

    Example: kdb why 17 --run predictions.jsonl --kb kb.jsonl --sessions test.jsonl
    """
    from kdb.cli.why_text import show
    from kdb.stages import why as stage

    beside = [*(kb or []), *(sessions or [])]
    looked_up = streams.read_files(beside, stage.KINDS) if beside else ()
    show(stage.run(session, domain, streams.read_files(run or [], stage.KINDS), looked_up))
