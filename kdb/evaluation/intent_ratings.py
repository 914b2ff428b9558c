"""Intents on the three scales of AICL (arXiv 2312.16262): naturalness, coverage and motivation.

That there are five steps to a scale, and the words by which a teacher is told what it means, are ours.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from kdb import prompts
from kdb.prompts.replies import json_object, to_struct
from kdb.records import Rating, Session

LOWEST, HIGHEST = 1, 5
SCALES = ("naturalness", "coverage", "motivation")
PROMPTS = ("teacher", "rate")

_STEP = {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST}
SCHEMA = {
    "type": "object",
    "properties": dict.fromkeys(SCALES, _STEP),
    "required": list(SCALES),
    "additionalProperties": False,
}


Step = Annotated[int, Meta(ge=LOWEST, le=HIGHEST)]


class _Rated(Struct):
    naturalness: Step
    coverage: Step
    motivation: Step


def messages(session: Session, items: frozenset[str], intent: str) -> list[dict[str, str]]:
    """The question how good an intent is for a bundle of the session."""
    titles = [item.title for item in session.items if item.id in items]
    fields = {"bundle": prompts.numbered(titles), "intent": prompts.sanitized(intent)}
    return [
        {"role": "system", "content": prompts.template("teacher")},
        {"role": "user", "content": prompts.render("rate", fields)},
    ]


def parse(text: str, items: frozenset[str], teacher: str) -> Rating:
    """The rating in a teacher's answer; ValueError where it is not in the form asked for."""
    rated = to_struct(json_object(text), _Rated)
    return Rating(sorted(items), rated.naturalness, rated.coverage, rated.motivation, teacher)
