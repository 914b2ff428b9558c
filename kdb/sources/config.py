"""What every source is told: `ImportConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from kdb.records import ImportInfo, Split
from kdb.sources.events.columns import Columns
from kdb.sources.splits import SplitRule

GAP = 30 * 60


@dataclass(frozen=True)
class EventConfig:
    """How a log becomes sessions.

    `events`: the kinds of event that count, all where empty. A new session begins after `gap` seconds without an
    event; one with fewer or more different items than the limits is dropped.
    """

    catalogue: Annotated[
        list[Path], Meta(description="events: files or folders with titles and categories of items; repeatable.")
    ] = field(default_factory=list)
    columns: Columns = field(default_factory=Columns)
    events: Annotated[
        list[str],
        Meta(description="events: only those of these kinds, such as view,cart.", extra={"separator": ","}),
    ] = field(default_factory=list)
    gap: int = GAP
    min_items: Annotated[int, Meta(ge=2, description="events: drop sessions of fewer different items.")] = 2
    max_items: Annotated[int, Meta(ge=2, description="events: drop sessions of more different items.")] = 20


@dataclass(frozen=True)
class ImportConfig:
    """How to import; `empty`: sessions without bundles, `only`: the splits to hand on (none: all).

    Where nobody says, a source decides what becomes of sessions without bundles: annotations drop them, logs and
    records keep them.
    """

    domain: Annotated[
        str,
        Meta(
            description="The domain of the sessions.",
            extra={"default": "the name of the folder or file; with jsonl as the records say"},
        ),
    ] = ""
    log: EventConfig = field(default_factory=EventConfig)
    titles: Annotated[Path | None, Meta(description="CSV file with titles for items that have none.")] = None
    untitled: Annotated[
        Literal["fail", "drop", "keep"],
        Meta(description="What to do where items have no title, which in the public data gives the answer away."),
    ] = "fail"
    truth: Annotated[
        Literal["minimal", "raw"],
        Meta(description="minimal: without bundles that repeat or contain another one of their session."),
    ] = "minimal"
    empty: Annotated[
        Literal["keep", "drop"] | None,
        Meta(description="Sessions without bundles.", extra={"default": "keep; drop with bundlerec and sheet"}),
    ] = None
    split: SplitRule = field(default_factory=SplitRule)
    only: frozenset[Split] = frozenset()

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
