"""`kdb extract rule` and `kdb extract thought`: knowledge that a teacher is asked for."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kdb.cli.options import command
from kdb.cli.streams import StreamOptions
from kdb.cli.teacher import with_teacher
from kdb.teacher import ANNOTATIONS
from kdb.teacher.config import TeacherConfig

if TYPE_CHECKING:
    from kdb.teacher.session_map import SessionFilter

Sessions = Annotated[
    int | None, typer.Option("--sessions", min=1, help="Ask about the first so many training sessions only.")
]
AllowTest = Annotated[
    bool, typer.Option("--allow-test", help="Show sessions of the test split to the teacher too.")
]


class Unverified(StrEnum):
    """What becomes of a thought that fails its checks."""

    keep = "keep"
    drop = "drop"


@command
@with_teacher
def rule(
    streams: StreamOptions,
    settings: TeacherConfig,
    sessions: Sessions = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often a session is tried and reflected on.")] = 1,
    merge: Annotated[float, typer.Option(min=0, max=1, help="Rules of this cosine or more are one rule.")] = 0.85,
    allow_test: AllowTest = False,
) -> None:
    """Let a teacher bundle sessions, tell it where it erred, and collect the rules that it draws from that.

    At most three requests a session and round. The rules of all sessions are merged and follow the input;
    rules that contradict each other are flagged. What was answered once is never asked again.

    Example: kdb import DATA --split train | kdb extract rule --teacher http://localhost:8000/v1 --model NAME
    """
    from kdb.stages import extract_rule as stage
    from kdb.teacher.session_map import SessionFilter

    choice = SessionFilter(sessions, allow_test, settings.concurrency)
    _extract(streams, settings, choice, stage, stage.Options(settings.sampling, rounds, merge))


@command
@with_teacher
def thought(
    streams: StreamOptions,
    settings: TeacherConfig,
    sessions: Sessions = None,
    tries: Annotated[int, typer.Option(min=1, help="How often a thought is asked for at most.")] = 3,
    unverified: Annotated[
        Unverified, typer.Option(help="What becomes of a thought that fails its checks.")
    ] = Unverified.drop,
    allow_test: AllowTest = False,
) -> None:
    """Let a teacher explain why the true bundles of each session are formed, and check what it says.

    A thought goes from what the products are, over what they are bought for, to the bundles, which must
    be the true ones. It follows its session. What was answered once is never asked again.

    Example: kdb import DATA --split train | kdb extract thought --teacher annotations
    """
    from kdb.stages import extract_thought as stage
    from kdb.teacher.session_map import SessionFilter

    choice = SessionFilter(sessions, allow_test, settings.concurrency)
    _extract(streams, settings, choice, stage, stage.Options(settings.sampling, tries, unverified.value))


def _extract(
    streams: StreamOptions, settings: TeacherConfig, choice: "SessionFilter", stage: Any, options: Any
) -> None:
    """Run a stage by its teacher: the annotations, an estimate of what would be asked, or who answers."""
    from kdb.teacher.client import open_client
    from kdb.teacher.cost_estimate import CostEstimate

    lines = streams.read(*stage.KINDS)
    if settings.teacher == ANNOTATIONS:
        return streams.write(stage.from_annotations(lines, choice))
    client = open_client(settings, streams.force)
    if isinstance(client, CostEstimate):
        return streams.write([stage.plan(lines, client, choice, options)])
    return streams.write(stage.run(lines, client, choice, options))
