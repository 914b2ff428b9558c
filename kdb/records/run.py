"""What a run was: enough to repeat it."""

from __future__ import annotations

from typing import Any

from kdb.records.base import Record


class Run(Record, tag="run"):
    """Enough to repeat a run: its settings, versions, seed and input hashes, and what it measured."""

    id: str
    command: str
    settings: dict[str, Any]
    seed: int | None = None
    versions: dict[str, str] = {}
    inputs: dict[str, str] = {}
    measured: dict[str, Any] = {}
