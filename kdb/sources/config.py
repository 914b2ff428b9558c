"""What every source is told: `ImportConfig`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kdb.records import ImportInfo, Split
from kdb.sources.events.columns import Columns
from kdb.sources.splits import SplitRule

Untitled = Literal["fail", "drop", "keep"]
Truth = Literal["minimal", "raw"]
Empty = Literal["keep", "drop"]

MIN_ITEMS, MAX_ITEMS, GAP = 2, 20, 30 * 60


@dataclass(frozen=True)
class EventConfig:
    """How a log becomes sessions.

    `events`: the kinds of event that count, all where empty. A new session begins after `gap` seconds without an
    event; one with fewer or more different items than the limits is dropped.
    """

    catalogue: Sequence[Path] = ()
    columns: Columns = field(default_factory=Columns)
    events: frozenset[str] = frozenset()
    gap: int = GAP
    min_items: int = MIN_ITEMS
    max_items: int = MAX_ITEMS


@dataclass(frozen=True)
class ImportConfig:
    """How to import; `empty`: sessions without bundles, `only`: the splits to hand on (none: all).

    Where nobody says, a source decides what becomes of sessions without bundles: annotations drop them, logs and
    records keep them. `titles`: a file with titles for items that have none.
    """

    domain: str = ""
    titles: Path | None = None
    untitled: Untitled = "fail"
    truth: Truth = "minimal"
    empty: Empty | None = None
    split: SplitRule = field(default_factory=SplitRule)
    only: frozenset[Split] = frozenset()
    log: EventConfig = field(default_factory=EventConfig)

    def choose(self, split: Split | None) -> bool:
        """Whether sessions of this split are handed on."""
        return not self.only or split in self.only

    def stamp(self, **known: str | int) -> ImportInfo:
        """What a session is stamped with, beside what the source knows."""
        policy: Mapping[str, str] = {
            "titles": self.titles.name if self.titles else "",
            "truth": self.truth,
            "split": str(self.split),
        }
        return ImportInfo(**{**policy, **known})  # type: ignore[arg-type]
