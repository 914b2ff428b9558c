"""Turns shop data into session records: `kdb import DIR > sessions.jsonl`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kdb.errors import UsageError
from kdb.io.stream import Rejects
from kdb.registry import load
from kdb.sources import SOURCES
from kdb.sources.config import EventConfig, ImportConfig
from kdb.sources.source import Source, Written


def import_sessions(name: str, paths: Sequence[Path], config: ImportConfig, rejects: Rejects) -> Written:
    """What a source reads from the paths, as it is written; what is left out is said on stderr.

    UsageError where an option means nothing to the source, or contradicts another one.
    """
    source: Source = load(SOURCES, name, "--format")
    if not source.reads_logs and config.log != EventConfig():
        raise UsageError(
            "--catalogue, --columns, --events, --gap, --min-items and --max-items are for logs",
            "pass --format events",
        )
    if config.log.min_items > config.log.max_items:
        raise UsageError("--min-items is larger than --max-items")
    if not source.knows_splits and config.only and not config.split:
        raise UsageError("--split needs to know the splits", "pass --split-file, --split-ratio or --split-time")
    return source.read(paths, config, rejects)
