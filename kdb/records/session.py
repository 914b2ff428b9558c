"""Sessions: their items, their true bundles, and how they were imported."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from kdb.records.base import Record, SessionKey, Split


class Item(Struct, omit_defaults=True):
    """A product. `category` holds every path of the product, each from the broadest name to the narrowest."""

    id: str
    title: str
    category: list[list[str]] = []

    def category_path(self, level: int) -> tuple[str, ...] | None:
        """The first `level` names of the deepest category path; None where the item has no category."""
        deepest = max(self.category, key=len, default=[])
        return tuple(deepest[:level]) or None


class Bundle(Struct):
    """Two or more items (by id) bought together for one intent.

    `probability` is that of a predicted bundle to lie within a true one; absent where the predictor has none.
    """

    items: list[str]
    intent: str = ""
    probability: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET


class ImportInfo(Struct, frozen=True, omit_defaults=True):
    """How `kdb import` made a session of what it read: the data policy that results must state.

    `hash` is that of the files; `untitled` says what became of so many items without a title in so many sessions.
    """

    source: str = ""
    hash: str = ""
    titles: str = ""
    untitled: Literal["", "none", "drop", "keep"] = ""
    untitled_items: int = 0
    untitled_sessions: int = 0
    truth: Literal["", "minimal", "raw"] = ""
    split: str = ""


class Session(Record, tag="session", omit_defaults=True):
    """A shopping session; `bundles` is the truth and absent where nobody annotated it.

    `user` and `time`, the Unix second of its first event, are those of the log that it was cut from.
    """

    id: str
    domain: str
    items: list[Item]
    split: Split | None = None
    bundles: list[Bundle] | UnsetType = UNSET
    user: str | int | UnsetType = UNSET
    time: int | float | UnsetType = UNSET
    imported: ImportInfo | UnsetType = UNSET

    def __post_init__(self) -> None:
        known = check_items([item.id for item in self.items])
        check_bundles(self.bundles or [], known, "bundles")

    @property
    def key(self) -> SessionKey:
        """The domain and the id."""
        return (self.domain, self.id)

    @property
    def truth(self) -> list[Bundle] | None:
        """The true bundles, or None where the session is not annotated."""
        return None if isinstance(self.bundles, UnsetType) else self.bundles


def check_items(items: Sequence[str]) -> set[str]:
    """The item ids as a set; ValueError where one is empty or stands twice, or where there is none."""
    if not items:
        raise ValueError("items: empty")
    known = set(items)
    if len(known) < len(items):
        again = next(i for n, i in enumerate(items) if i in items[:n])
        raise ValueError(f"items: item {again!r} stands twice")
    if "" in known:
        raise ValueError("items: an id is empty")
    return known


def check_bundles(bundles: Sequence[Bundle], known: Set[str], name: str) -> None:
    """ValueError where a bundle has fewer than two items, one twice, or one that is not in the session."""
    for n, bundle in enumerate(bundles):
        own = set(bundle.items)
        if len(own) < len(bundle.items):
            raise ValueError(f"{name}[{n}]: an item stands twice in it")
        if len(own) < 2:
            raise ValueError(f"{name}[{n}]: fewer than two items")
        if not own <= known:
            stranger = next(i for i in bundle.items if i not in known)
            raise ValueError(f"{name}[{n}]: item {stranger!r} is not in the session")
