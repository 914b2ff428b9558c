"""What a source is: `Source`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdb.io.stream import Line, Rejects
from kdb.records import Record
from kdb.sources.config import ImportConfig

Written = Iterable[Line | Record | bytes]
"""Records, lines, or blocks of whole lines."""


@dataclass(frozen=True)
class Source:
    """A way to read sessions: `read` turns paths into what is written, and says on stderr what it leaves out.

    `reads_logs`: whether the options of logs (`EventConfig`) mean something to it; `knows_splits`: whether what it
    reads may say of which split a session is.
    """

    read: Callable[[Sequence[Path], ImportConfig, Rejects], Written]
    reads_logs: bool = False
    knows_splits: bool = False
