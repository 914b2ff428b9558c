"""`kdb rate`: predictions in, predictions with their intents rated by a teacher out."""

from pathlib import Path
from typing import Annotated

from typer import Option

from kdb.cli.options import command
from kdb.cli.streams import StreamOptions
from kdb.cli.teacher import with_teacher
from kdb.errors import UsageError
from kdb.teacher import ANNOTATIONS
from kdb.teacher.config import TeacherConfig


@command
@with_teacher
def rate(
    streams: StreamOptions,
    settings: TeacherConfig,
    sessions: Annotated[
        list[Path], Option(help="Session records, for the titles; repeatable.", show_default=False)
    ],
) -> None:
    """Let a teacher rate the intents of predicted bundles that match a true one.

    Naturalness, coverage and motivation, as AICL has people rate them, from 1 to 5, are stamped on the
    predictions; kdb eval reports the means. The teacher sees the titles and the intent of the bundle, not
    the truth. What was answered once is never asked again.

    Example: kdb rate predictions.jsonl --sessions test.jsonl --teacher http://localhost:8000/v1 --model NAME
    """
    from kdb.stages import rate as stage
    from kdb.teacher.client import open_client
    from kdb.teacher.cost_estimate import CostEstimate

    if settings.teacher == ANNOTATIONS:
        raise UsageError(f"the teacher {ANNOTATIONS!r} cannot rate", "name a server, a model folder or a hub id")
    known = stage.known(streams.read_files(sessions, ("session",)))
    lines, client = streams.read(*stage.KINDS), open_client(settings, streams.force)
    if isinstance(client, CostEstimate):
        return streams.write([stage.plan(lines, known, client, settings.sampling, settings.concurrency)])
    return streams.write(stage.run(lines, known, client, settings.sampling, settings.concurrency))
