"""What a run was: enough to repeat it, and to see that its output is whole."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from kdb.records.base import Record, Usage


class Run(Record, tag="run"):
    """Enough to repeat a run: its settings, versions, seed and input hashes, and what it measured.

    `usage` is what it paid for and no other record of it carries.
    With `ends`, an `end` record follows its last prediction.
    """

    id: str
    command: str
    settings: dict[str, Any]
    seed: int | None = None
    versions: dict[str, str] = {}
    inputs: dict[str, str] = {}
    measured: dict[str, Any] = {}
    usage: Usage | UnsetType = UNSET
    ends: bool = False


class End(Record, tag="end"):
    """The last record of a run of `kdb infer`: how many sessions of each domain it predicted."""

    run: str
    sessions: dict[str, int]
