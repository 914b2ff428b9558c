"""Write what a student would be trained on, for other trainers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from kdb import console
from kdb.errors import UsageError
from kdb.io.stream import Line
from kdb.records import Run
from kdb.student.config import StudentConfig
from kdb.student.methods.build import answer_class
from kdb.student.setup import TrainingData, prepare


def emit(lines: Iterable[Line], config: StudentConfig, file: BinaryIO, tags: dict[str, str] | None = None) -> Run:
    """Write the training examples, items in the order of the first epoch, as chat messages.

    One JSON object `{"messages": [...]}` a line, the student's turn last, as TRL and hosted fine-tuning take
    them; how sure a label is goes unsaid. Returns a `run` record. UsageError where the answer format has no text.
    """
    if not answer_class(config.method).is_text:
        raise UsageError(
            f"the answer format {config.method.answer} is no conversation", "use --answer list or --answer labels"
        )
    setup = prepare(TrainingData.read(lines, config.training.seed, config.context), config, "cpu")
    count = 0
    for turns in setup.training.conversations(0):
        file.write(msgspec.json.encode({"messages": turns}) + b"\n")
        count += 1
    console.say(f"{count} examples of {len(setup.training.sessions)} sessions; nothing is trained")
    return setup.record({"examples": count}, tags or {})
