"""Write what a student would be trained on, for other trainers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from kdb import console
from kdb.records import Run
from kdb.stream import Line
from kdb.student.config import StudentConfig
from kdb.student.setup import prepare


def run(lines: Iterable[Line], recipe: StudentConfig, max_prompt_tokens: int, file: BinaryIO) -> Run:
    """Write the training examples, items in the order of the first epoch, as chat messages.

    One JSON object `{"messages": [...]}` a line, the student's turn last, as TRL and hosted fine-tuning take
    them. Returns a `run` record. UsageError where the recipe's answer format has no text.
    """
    course = prepare(lines, recipe, "cpu", max_prompt_tokens)
    count = 0
    for turns in course.training.conversations(0):
        file.write(msgspec.json.encode({"messages": turns}) + b"\n")
        count += 1
    console.say(f"{count} examples of {len(course.training.sessions)} sessions; nothing is trained")
    return course.record({"examples": count})
