"""Sessions as a sheet that people fill in: a row for each item, with the bundle it belongs to and its intent.

`kdb export --sheet` writes it, `kdb import --format sheet` reads it back. A bundle is any label that at least two
items of a session share; an item of two bundles stands on two rows. The intent may stand on one of the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from kdb.io.provenance import content_hash, file_hash
from kdb.io.stream import Rejects
from kdb.records import Bundle, Item, Session, check_bundles
from kdb.sources import categories
from kdb.sources.bundlerec import id_order, read_titles
from kdb.sources.config import ImportConfig
from kdb.sources.csv_rows import csv_row, rows
from kdb.sources.events.table_file import find_files
from kdb.sources.policy import apply_policy
from kdb.sources.source import Source
from kdb.sources.splits import SPLITS
from kdb.sources.titles import clean, is_missing

FILLED = ("session", "item", "title", "bundle", "intent")
KEPT = ("domain", "split", "user", "time", "category")
"""Columns that nobody fills in: they are there so that a session comes back as it was. A sheet may lack them."""


def sheet_rows(sessions: Iterable[Session]) -> Iterator[bytes]:
    """The header and a row for each item (for one in several bundles a row each), without line ends.

    Bundles are numbered from 1 in each session. The byte-order mark tells spreadsheets that this is UTF-8.
    """
    yield b"\xef\xbb\xbf" + csv_row((*FILLED, *KEPT))
    for session in sessions:
        kept = [session.domain, session.split or ""]
        kept += ["" if isinstance(value, UnsetType) else str(value) for value in (session.user, session.time)]
        for item in session.items:
            category = msgspec.json.encode(item.category).decode() if item.category else ""
            bundles = [(str(n), b.intent) for n, b in enumerate(session.truth or [], 1) if item.id in b.items]
            for number, intent in bundles or [("", "")]:
                yield csv_row((session.id, item.id, item.title, number, intent, *kept, category))


def read(paths: Sequence[Path], config: ImportConfig, rejects: Rejects) -> list[Session]:
    """The sessions of the sheets, in the order of their first rows; what nobody labelled has no bundles.

    Bundles are in the order of their labels, numbers by value and before texts.
    """
    files = find_files(paths)
    drafts: dict[tuple[str, str], _Draft] = {}
    for path in files:
        for place, text, values in rows(path, FILLED, rejects, KEPT):
            row = dict(zip((*FILLED, *KEPT), map(str.strip, values), strict=True))
            domain = row["domain"] or config.domain or path.name.partition(".")[0]
            if missing := next((name for name in ("session", "item") if not row[name]), None):
                rejects.add(place, f"{missing}: missing", text)
                continue
            draft = drafts.setdefault((domain, row["session"]), _Draft(domain, row))
            try:
                draft.add(row, place)
            except ValueError as error:
                rejects.add(place, str(error), text)
    titles = read_titles(config.titles, rejects) if config.titles else {}
    sessions = [draft.session(config.domain, titles, rejects) for draft in drafts.values()]
    hashed = [*files, *([config.titles] if config.titles else [])]
    stamp = config.stamp(source=files[0].name, hash=content_hash([file_hash(path) for path in hashed]))
    return apply_policy(sessions, config, files[0], stamp)


@dataclass
class _Draft:
    """A session as far as its rows are read; `bundles`: place, items and intent by label."""

    domain: str
    first: Mapping[str, str]
    items: dict[str, Item] = field(default_factory=dict)
    bundles: dict[str, tuple[str, Bundle]] = field(default_factory=dict)

    def add(self, row: Mapping[str, str], place: str) -> None:
        """Take in a row; ValueError where it contradicts an earlier one."""
        identity, label = row["item"], row["bundle"]
        title = "" if is_missing(row["title"]) else row["title"]
        item = self.items.get(identity)
        if item and title != item.title:
            raise ValueError(f"title: item {identity!r} has another one already, {item.title!r}")
        _, bundle = self.bundles.get(label, ("", Bundle([])))
        if item and (not label or identity in bundle.items):
            raise ValueError(f"item {identity!r} stands twice in session {row['session']!r} in the same bundle")
        if not item:
            self.items[identity] = Item(identity, title, categories.parse(row["category"]))
        if not label:
            return
        self.bundles.setdefault(label, (place, bundle))
        bundle.items.append(identity)
        intent = "" if is_missing(row["intent"]) else clean(row["intent"])
        if intent and bundle.intent not in ("", intent):
            raise ValueError(f"intent: bundle {label!r} has another one already, {bundle.intent!r}")
        bundle.intent = bundle.intent or intent

    def session(self, domain: str, titles: Mapping[str, str], rejects: Rejects) -> Session:
        """The session, of `domain` where one is given, and with `titles` for items that have none.

        A bundle that is none goes to `rejects`.
        """
        bundles = []
        for label, (place, bundle) in sorted(self.bundles.items(), key=lambda each: id_order(each[0])):
            try:
                check_bundles([bundle], self.items.keys(), f"bundle {label!r}")
            except ValueError as error:
                rejects.add(place, str(error).replace("[0]", "", 1), "")
            else:
                bundles.append(bundle)
        first = self.first
        split: Any = first["split"] if first["split"] in SPLITS else None
        return Session(
            id=first["session"],
            domain=domain or self.domain,
            items=[Item(i.id, i.title or titles.get(i.id, ""), i.category) for i in self.items.values()],
            split=split,
            bundles=bundles or UNSET,
            user=first["user"] or UNSET,
            time=_time(first["time"]),
        )


def _time(text: str) -> int | float | UnsetType:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return UNSET


SHEET = Source(read, knows_splits=True)
