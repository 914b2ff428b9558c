"""What a run could draw on, in numbers: runs differ in format and in quantity by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from kdb.io.stream import Line


class KnowledgeBaseSummary(Struct, omit_defaults=True):
    """Annotated sessions, pieces of knowledge by format, and how `kdb select` chose them (`selected`).

    `labelled` sessions have a label in place of an annotation.
    """

    sessions: int = 0
    labelled: int = 0
    validation: int = 0
    domains: list[str] = []
    knowledge: dict[str, int] = {}
    teachers: list[str] = []
    selected: dict[str, Any] = {}


class _Stamped(Struct):
    selected: Any = None


def selection_of(line: Line) -> dict[str, Any]:
    """What `kdb select` wrote on a record that it chose; empty on any other record."""
    stamp = msgspec.json.decode(line.text, type=_Stamped).selected
    return stamp if isinstance(stamp, dict) else {}


def shared_settings(stamps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The settings that all stamps agree on, without the rank that each record has of its own."""
    first, *others = stamps or [{}]
    shared = {k: v for k, v in first.items() if k != "rank"}
    for stamp in others:
        shared = {k: v for k, v in shared.items() if stamp.get(k) == v}
    return shared
