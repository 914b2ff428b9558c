"""Options of the commands that work with a student, and how lists of names are read."""

from typing import Annotated, get_args

from typer import Option

from kdb.errors import UsageError
from kdb.records import KnowledgeFormat
from kdb.student.config import Retrieval, ThoughtMode

Student = Annotated[str, Option(help="Model folder, hub id, packaged name, or what kdb export made.")]
Formats = Annotated[str, Option(help="Only this knowledge: pattern,rule,thought.", show_default="all")]
MaxPromptTokens = Annotated[int, Option(min=64, help="Longest prompt; what does not fit is left out, and counted.")]
Precision = Annotated[str, Option(help="auto, bf16 or fp32; auto: bf16 where it is native.")]
Device = Annotated[str, Option(help="cpu, cuda, ...; found by itself.", show_default=False)]
Seed = Annotated[int, Option(help="Seed of everything random.")]
Goal = Annotated[
    ThoughtMode,
    Option(help="What the student writes; both: thoughts as a second task, in training only."),
]

Nearness = Annotated[
    Retrieval, Option(help="Demonstrations are nearest by all titles as one text, or item by item.")
]


def names(text: str) -> list[str] | None:
    """The names in a list with commas; None where it is empty."""
    return [name.strip() for name in text.split(",")] if text else None


def formats(text: str) -> list[KnowledgeFormat] | None:
    """The formats of knowledge in a list with commas; None where it is empty, UsageError for one there is not."""
    found = names(text)
    for name in found or []:
        if name not in get_args(KnowledgeFormat):
            raise UsageError(
                f"--formats {name}: no such format", f"choose from {', '.join(get_args(KnowledgeFormat))}"
            )
    return found  # type: ignore[return-value]
