"""What stands in a prompt beside the session, as settings."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from kdb.records import SHOWN_AS, KnowledgeFormat
from kdb.retrieval import EMBEDDER, EMBEDDERS, RETRIEVERS

RARE = {"rare": True}


class ContextConfig(Struct, kw_only=True):
    """What is retrieved for a session and shown beside it; `max_prompt_tokens` says how much of it may be."""

    demos: Annotated[int, Meta(ge=0, description="Demonstrations in each prompt.")] = 0
    knowledge: Annotated[
        int, Meta(ge=0, description="Patterns and rules in each prompt; with any, demonstrations bring thoughts.")
    ] = 0
    corrections: Annotated[
        bool,
        Meta(description="Demonstrations hold the teacher's attempt and its correction.", extra=RARE),
    ] = False
    """Adaptive in-context learning (Sun et al., arXiv 2312.16262)."""
    formats: Annotated[
        list[KnowledgeFormat],
        Meta(
            description="Only knowledge of these formats, by commas",
            extra={"separator": ",", "choices": SHOWN_AS, "default": "all"},
        ),
    ] = []
    min_confidence: Annotated[
        float,
        Meta(
            ge=0, le=1, description="Labels of this confidence or more stand for annotations that a session lacks."
        ),
    ] = 0.0
    retrieval: Annotated[
        str, Meta(description="How demonstrations are near: by", extra={"choices": RETRIEVERS, **RARE})
    ] = "session"
    embedder: Annotated[
        str, Meta(description="What compares titles", extra={"choices": EMBEDDERS, "open": True, **RARE})
    ] = EMBEDDER
    max_prompt_tokens: Annotated[
        int, Meta(ge=64, description="Longest prompt; what does not fit is left out, and counted.", extra=RARE)
    ] = 2048
