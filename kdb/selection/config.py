"""The settings of `kdb select`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from kdb.records import SHOWN_AS
from kdb.retrieval import EMBEDDER, EMBEDDERS
from kdb.selection import STRATEGIES
from kdb.student.weights import STUDENT

Of = Literal["sessions", "knowledge"]
Rest = Literal["drop", "unannotated"]
RULES = "rules"

_COMMAS = {"separator": ",", "default": "all"}


@dataclass(frozen=True)
class SelectionConfig:
    """What is ranked and how, and how much of it is taken."""

    of: Annotated[Of, Meta(description="What is ranked; the other goes with it.")] = "sessions"
    strategy: Annotated[str, Meta(description="What comes first", extra={"choices": STRATEGIES})] = "random"
    prefer: Annotated[
        str,
        Meta(
            description="Of length: long, short or spread; of difficulty: hard, easy or spread.",
            extra={"default": "long, hard"},
        ),
    ] = ""
    amount: Annotated[
        str,
        Meta(
            description="A share (0.3), a number (200) or a budget of the student's tokens (5000tok).",
            extra={"default": "all"},
        ),
    ] = ""
    difficulty: Annotated[
        str,
        Meta(
            description="What is difficult: what the teacher first answered wrongly, as `rules` record it; what "
            "a file of predictions has wrong; or where an adapter folder or student has a high loss.",
            extra={"default": RULES},
        ),
    ] = RULES
    rest: Annotated[
        Rest,
        Meta(description="What becomes of the other sessions; unannotated: kept, for kdb extract label."),
    ] = "drop"
    seed: Annotated[int, Meta(description="Draws the sample, and decides between equals.")] = 0
    domains: Annotated[list[str], Meta(description="Only these, by commas.", extra=_COMMAS)] = field(
        default_factory=list
    )
    formats: Annotated[
        list[str],
        Meta(description="Only knowledge of these formats, by commas", extra={**_COMMAS, "choices": SHOWN_AS}),
    ] = field(default_factory=list)
    per_domain: Annotated[bool, Meta(description="Rank and take in each domain by itself.")] = False
    embedder: Annotated[
        str, Meta(description="What compares texts, for diversity", extra={"choices": EMBEDDERS, "open": True})
    ] = EMBEDDER
    student: Annotated[str, Meta(description="Whose tokens --amount counts.")] = STUDENT
