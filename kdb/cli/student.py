"""Options of the commands that work with a student."""

from dataclasses import dataclass
from typing import Annotated, get_args

from msgspec import Meta
from typer import Option

from kdb.errors import UsageError
from kdb.records import KnowledgeFormat
from kdb.retrieval.config import RARE
from kdb.student.config import Precision

Formats = Annotated[str, Option(help="Only this knowledge: pattern,rule,thought.", show_default="all")]
Tag = Annotated[list[str] | None, Option(metavar="NAME=VALUE", help="Keep this in the run record; repeatable.")]


@dataclass
class DeviceOptions:
    """Where a student in this process computes."""

    device: Annotated[str, Meta(description="cpu, cuda, ...; found by itself.", extra=RARE)] = ""


@dataclass
class HardwareOptions(DeviceOptions):
    """How a student in this process computes."""

    batch_size: Annotated[int, Meta(ge=1, description="Sequences in a batch.", extra=RARE)] = 16
    precision: Annotated[
        Precision, Meta(description="Of the weights; auto: bf16 where it is native.", extra=RARE)
    ] = "auto"


def tags(texts: list[str] | None) -> dict[str, str]:
    """The tags by name; UsageError where one has no name or stands twice."""
    found: dict[str, str] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or name.strip() in found:
            raise UsageError(f"--tag {text}: not NAME=VALUE, each name once")
        found[name.strip()] = value.strip()
    return found


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
