"""Turns shop data into session records: `kdb import DIR > sessions.jsonl`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kdb.io.stream import Line, Rejects
from kdb.records import Record
from kdb.registry import load
from kdb.sources import SOURCES
from kdb.sources.config import ImportConfig


def import_sessions(
    source: str, paths: Sequence[Path], config: ImportConfig, rejects: Rejects
) -> Iterable[Line | Record | bytes]:
    """What the source reads from the paths, as it is written; what is left out is said on stderr."""
    outgoing: Iterable[Line | Record | bytes] = load(SOURCES, source, "format")(paths, config, rejects)
    return outgoing
