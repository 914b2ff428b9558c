"""`kdb extract`: draws knowledge from training sessions, one subcommand a format."""

import inspect
from collections.abc import Callable
from typing import Any

from kdb.cli.groups import Commands, group
from kdb.cli.options import Given, command
from kdb.cli.streams import StreamOptions
from kdb.cli.teacher import refuse_without_effect
from kdb.errors import UsageError
from kdb.extraction import FORMATS
from kdb.extraction.format import Format
from kdb.records import ANNOTATIONS
from kdb.registry import load
from kdb.stages.extract import KINDS, SessionFilter, extract
from kdb.teacher import Identity, Sampling
from kdb.teacher.annotations import AnnotationTeacher
from kdb.teacher.config import TeacherConfig

app = group(
    Commands,
    "Draw knowledge from training sessions: one subcommand a format of knowledge.",
    "kdb extract pattern train.jsonl -o kb.jsonl",
)


def _command(form: type[Format[Any]]) -> Callable[..., None]:
    """The command of a format: its own options, and those of a teacher where it needs one."""

    def alone(streams: StreamOptions, config: Any, choice: SessionFilter) -> None:
        ready, annotations = form(config, Sampling()), AnnotationTeacher(Identity("", ANNOTATIONS))
        streams.write(extract(streams.read(*KINDS), ready, choice, annotations, threads=1))

    def asking(
        streams: StreamOptions, teacher: TeacherConfig, config: Any, choice: SessionFilter, given: Given
    ) -> None:
        from kdb.teacher.client import open_teacher
        from kdb.teacher.dry_run import estimate

        refuse_without_effect(given, teacher)
        if choice.allow_test and not form.may_see_test:
            raise UsageError(f"--allow-test: no {form.name} is drawn from test sessions", "leave it out")
        asked = open_teacher(teacher, streams.force)
        if form.needs_model and not asked.is_model:
            raise UsageError(
                f"no {form.name} comes of --teacher {ANNOTATIONS}: they make no errors", "name a server or a model"
            )
        lines, ready = streams.read(*KINDS), form(config, teacher.sampling)
        outgoing = extract(lines, ready, choice, asked, teacher.concurrency)
        streams.write(estimate(asked, outgoing, f"extract {form.name}") if teacher.dry_run else outgoing)

    function: Callable[..., None] = asking if form.needs_teacher else alone
    function.__doc__ = inspect.getdoc(form)
    function.__annotations__["config"] = form.Config
    return command(function)


for _name in FORMATS:
    _form = load(FORMATS, _name)
    app.command(_name, short_help=_form.summary)(_command(_form))
