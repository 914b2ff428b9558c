"""What a run was: enough to repeat it."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from kdb.records.base import Record, Usage


class Run(Record, tag="run"):
    """Enough to repeat a run: its settings, versions, seed and input hashes, and what it measured.

    `usage` is what it paid for and no other record of it carries.
    """

    id: str
    command: str
    settings: dict[str, Any]
    seed: int | None = None
    versions: dict[str, str] = {}
    inputs: dict[str, str] = {}
    measured: dict[str, Any] = {}
    usage: Usage | UnsetType = UNSET
