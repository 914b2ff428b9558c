"""`kdb rate`: predictions in, predictions with their intents rated by a teacher out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from kdb.cli.options import Given, command
from kdb.cli.streams import StreamOptions
from kdb.cli.teacher import refuse_without_effect
from kdb.errors import UsageError
from kdb.teacher.config import TeacherConfig


@dataclass(frozen=True)
class RateConfig:
    """What a teacher is to see beside predictions."""

    sessions: Annotated[list[Path], Meta(description="Session records, for the titles; repeatable.")]


@command
def rate(streams: StreamOptions, teacher: TeacherConfig, config: RateConfig, given: Given) -> None:
    """Let a teacher rate the intents of predicted bundles that match a true one.

    Naturalness, coverage and motivation, as AICL has people rate them, from 1 to 5, are stamped on the
    predictions; kdb eval reports the means. The teacher sees the titles and the intent of the bundle, not
    the truth. What was answered once is never asked again.

    Example: kdb rate predictions.jsonl --sessions test.jsonl --teacher http://localhost:8000/v1 --model NAME
    """
    from kdb.stages import rate as stage
    from kdb.teacher.client import backend_class, open_teacher
    from kdb.teacher.dry_run import estimate

    if not backend_class(teacher).is_model:
        raise UsageError(
            f"the teacher {teacher.teacher!r} cannot rate", "name a server, a model folder or a hub id"
        )
    refuse_without_effect(given, teacher)
    known = stage.known(streams.read_files(config.sessions, ("session",)))
    asked = open_teacher(teacher, streams.force)
    rated = stage.rate(streams.read(*stage.KINDS), known, asked, teacher.sampling, teacher.concurrency)
    streams.write(estimate(asked, rated, "rate") if teacher.dry_run else rated)
