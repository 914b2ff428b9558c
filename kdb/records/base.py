"""What all kinds of record share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

SCHEMA_VERSION = 2
"""The `v` of the records that are written. An older one is upgraded on reading, a newer one refused."""

Split = Literal["train", "validation", "test"]
SHOWN_AS: dict[str, Literal["context", "demonstration", "dialogue", "target"]] = {
    "pattern": "context",
    "rule": "context",
    "thought": "demonstration",
    "correction": "dialogue",
    "label": "target",
}
"""The formats of knowledge, and how a student meets each: beside the question, with a solved session, as a solved
session that was first answered wrongly, or as the bundles to learn."""
if TYPE_CHECKING:
    KnowledgeFormat = str
else:
    KnowledgeFormat = Literal[tuple(SHOWN_AS)]
Status = Literal["ok", "repaired", "failed"]

SessionKey = tuple[str, str]
"""The domain and the id of a session: ids repeat between domains."""


def _version() -> int:
    return SCHEMA_VERSION


class Record(Struct, kw_only=True, tag_field="kind"):
    """The base of all kinds. `v` is always written; without it a record counts as one of version 1."""

    v: int = field(default_factory=_version)


class Usage(Struct, omit_defaults=True):
    """Tokens that a model read and wrote, and what that cost in US dollars (absent if unpaid).

    `cached_tokens` are those of the prompt that the server had read before; `reasoning_tokens` those of the
    completion that were thought aloud.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0
