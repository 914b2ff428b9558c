"""How a student's answers are written and combined, as settings."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from kdb.retrieval.config import RARE

Aggregation = Literal["answer", "bundles", "pairs"]
"""What several answers about a session vote on: which of them is given, or each bundle, or each pair of items."""


class GenerationConfig(Struct, kw_only=True):
    """How answers are written and combined; at temperature 0 the likeliest token is taken."""

    temperature: Annotated[float, Meta(ge=0, description="Above 0, draw answers by the seed (text).")] = 0.0
    samples: Annotated[
        int, Meta(ge=1, description="Ask with the items in so many orders; the answers are combined.")
    ] = 1
    aggregate: Annotated[
        Aggregation, Meta(description="What they vote on: an answer, each bundle, or each pair (text).", extra=RARE)
    ] = "answer"
    unconstrained: Annotated[
        bool, Meta(description="No grammar: answers are repaired, or fail and are counted.", extra=RARE)
    ] = False
    seed: Annotated[int, Meta(description="Seed of everything random.")] = 0
