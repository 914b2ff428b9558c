"""What a reader decides about a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta


@dataclass(frozen=True)
class ReportOptions:
    """What a report says beside the records, and which runs it compares first."""

    title: Annotated[str, Meta(description="What stands on top.")] = "Product bundling: results"
    note: Annotated[list[str] | None, Meta(description="What readers must know of the data; repeatable.")] = None
    cell: Annotated[
        list[str] | None, Meta(description="A run that belongs here, by name: marked as not run if absent.")
    ] = None
    baseline: Annotated[
        str, Meta(description="The baseline to compare with, by name.", extra={"default": "the best"})
    ] = ""
    student: Annotated[
        str, Meta(description="The student to compare first, by name.", extra={"default": "the best"})
    ] = ""
