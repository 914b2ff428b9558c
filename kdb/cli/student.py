"""Options of the commands that work with a student."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta
from typer import Option

from kdb.errors import UsageError
from kdb.retrieval.config import RARE
from kdb.student.config import Precision

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
