"""What a teacher knows, and where it knows it from."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, field

from kdb.records.base import KnowledgeFormat, Record, Usage
from kdb.records.session import Bundle

ANNOTATIONS = "annotations"
"""The teacher that is no model: what people labelled."""


class Source(Struct, omit_defaults=True):
    """What knowledge was drawn from: session ids, and ids of the knowledge that it was made of."""

    sessions: list[str] = []
    parents: list[str] = []


class FirstAttempt(Struct):
    """How right the teacher's first answer to a session was, before it reflected."""

    precision: float
    recall: float


class Knowledge(Record, tag="knowledge", omit_defaults=True):
    """One piece of teacher knowledge; `text` is what a student reads."""

    id: str
    format: KnowledgeFormat
    domain: str
    text: str
    source: Source = field(default_factory=Source, name="from")
    teacher: str = ""
    prompt_hash: str = ""
    usage: Usage = field(default_factory=Usage)
    support: float | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    lift: float | UnsetType = UNSET
    count: int | UnsetType = UNSET
    antecedent: list[str] | UnsetType = UNSET
    consequent: list[str] | UnsetType = UNSET
    first_attempt: FirstAttempt | UnsetType = UNSET
    first_attempts: dict[str, FirstAttempt] | UnsetType = UNSET
    contradicts: list[str] | UnsetType = UNSET
    checks: list[str] | UnsetType = UNSET
    applied: int | UnsetType = UNSET
    """Of a rule: the pairs of items in annotated sessions that it is about."""
    violations: int | UnsetType = UNSET
    """Those of them about which it is wrong."""
    value: float | UnsetType = UNSET
    """How many more pairs than by chance it is right about, per session."""
    bundles: list[Bundle] | UnsetType = UNSET
    """Of a label or a correction: what the teacher bundles in the session that it was drawn from."""
    pair_shares: list[tuple[str, str, float]] | UnsetType = UNSET
    """Of a label: two items of one bundle in some answer, and the share of the answers in which they are."""
    demos: list[str] | UnsetType = UNSET
    """The sessions that the teacher was shown as demonstrations."""
