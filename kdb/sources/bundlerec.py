"""Reads the CSV files of the public bundle data (GitHub BundleRec/bundle_recommendation) into sessions.

**Leak.** In that data an item has a title and a category exactly if it is in some bundle. A missing title is
therefore an answer, and so is a missing category. Categories are kept here because training patterns are
mined from them; nothing may read the category of an item of a session that is to be predicted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from msgspec import UNSET

from kdb.errors import UsageError
from kdb.io.provenance import content_hash, file_hash
from kdb.io.stream import Rejects
from kdb.records import Bundle, Item, Session, check_bundles
from kdb.sources.categories import parse
from kdb.sources.config import ImportConfig
from kdb.sources.csv_rows import rows
from kdb.sources.policy import apply_policy
from kdb.sources.source import Source
from kdb.sources.titles import clean_title

TITLES = ("item ID", "titles")
FILES = ("session_item", "session_bundle", "bundle_item", "bundle_intent", "item_titles", "item_categories")


def read(paths: Sequence[Path], config: ImportConfig, rejects: Rejects) -> list[Session]:
    """The sessions of the one folder in `paths`, in numeric order of their ids."""
    if len(paths) != 1 or not paths[0].is_dir():
        hint = "for a log of events pass --format events, for session records --format jsonl"
        raise UsageError(f"{' '.join(map(str, paths))}: not a folder of the BundleRec data", hint)
    [folder] = paths
    sessions = read_folder(folder, config.domain or folder.resolve().name, config.titles, rejects)
    named = [path for path in (config.titles, config.split.file) if path]
    files = [folder / f"{name}.csv" for name in FILES] + named
    digest = content_hash([file_hash(path) for path in files])
    stamp = config.stamp(source=folder.resolve().name, hash=digest)
    return apply_policy(sessions, config, folder, stamp)


def read_folder(folder: Path, domain: str, titles: Path | None, rejects: Rejects) -> list[Session]:
    """The sessions in the files of `folder`, in numeric order of their ids; `bundles` is absent where none are.

    Items that item_titles.csv leaves untitled have their title from the file `titles`, else "". KdbError with
    `file:line` where a row contradicts the others, or the row goes to `rejects`.
    """
    items = _groups(folder / "session_item.csv", ("session ID", "item ID"), rejects)
    bundles = _bundles(folder, items, rejects)
    named = (read_titles(titles, rejects) if titles else {}) | read_titles(folder / "item_titles.csv", rejects)
    categories = _categories(folder / "item_categories.csv", rejects)
    visits_file = folder / "user_session.csv"
    visits = _visits(visits_file, rejects) if visits_file.is_file() else {}
    sessions = []
    for session in sorted(items, key=id_order):
        user, time = visits.get(session, (UNSET, UNSET))
        own = [Item(i, named.get(i, ""), categories.get(i, [])) for i in items[session]]
        bundled = bundles.get(session) or UNSET
        sessions.append(Session(id=session, domain=domain, items=own, bundles=bundled, user=user, time=time))
    return sessions


def read_titles(path: Path, rejects: Rejects) -> dict[str, str]:
    """The titles in a CSV file with the columns `item ID` and `titles`, those that are not missing."""
    cleaned = {item: clean_title(title) for item, (_, title) in _texts(path, TITLES, rejects).items()}
    return {item: title for item, title in cleaned.items() if title}


def id_order(identity: str) -> tuple[bool, int, str]:
    """A sort key: numbers first and by value, then all other ids by text."""
    number = identity.isdecimal()
    return not number, len(identity) if number else 0, identity


def _groups(path: Path, columns: tuple[str, str], rejects: Rejects) -> dict[str, list[str]]:
    """The members (second column) of each group (first column), in file order."""
    groups: dict[str, list[str]] = defaultdict(list)
    for place, text, (group, member) in rows(path, columns, rejects):
        if not group or not member:
            rejects.add(place, "an id is empty", text)
        elif member in groups[group]:
            names = [name.removesuffix(" ID") for name in columns]
            rejects.add(place, f"{names[1]} {member!r} stands twice in {names[0]} {group!r}", text)
        else:
            groups[group].append(member)
    return dict(groups)


def _texts(path: Path, columns: tuple[str, str], rejects: Rejects) -> dict[str, tuple[str, str]]:
    """The place and the text (second column) of each id (first column)."""
    values: dict[str, tuple[str, str]] = {}
    for place, text, (identity, value) in rows(path, columns, rejects):
        if identity in values:
            rejects.add(place, f"{columns[0]} {identity!r} stands twice", text)
        else:
            values[identity] = (place, value)
    return values


def _categories(path: Path, rejects: Rejects) -> dict[str, list[list[str]]]:
    categories = {}
    for item, (place, text) in _texts(path, ("item ID", "categories"), rejects).items():
        try:
            categories[item] = parse(text)
        except ValueError as error:
            rejects.add(place, f"categories: {error}", text)
    return categories


def _visits(path: Path, rejects: Rejects) -> dict[str, tuple[str, int]]:
    """The user and the Unix second of each session."""
    visits: dict[str, tuple[str, int]] = {}
    for place, text, (user, session, time) in rows(path, ("user ID", "session ID", "timestamp"), rejects):
        if not (time.isascii() and time.isdecimal()):
            rejects.add(place, f"timestamp: {time!r} is no Unix second", text)
        elif session in visits:
            rejects.add(place, f"session ID {session!r} stands twice", text)
        else:
            visits[session] = user, int(time)
    return visits


def _bundles(folder: Path, items: dict[str, list[str]], rejects: Rejects) -> dict[str, list[Bundle]]:
    """The bundles of each session, in file order."""
    members = _groups(folder / "bundle_item.csv", ("bundle ID", "item ID"), rejects)
    intents = _texts(folder / "bundle_intent.csv", ("bundle ID", "intent"), rejects)
    bundles: dict[str, list[Bundle]] = defaultdict(list)
    for place, text, (session, name) in rows(folder / "session_bundle.csv", ("session ID", "bundle ID"), rejects):
        bundle = Bundle(members.get(name, []), clean_title(intents.get(name, ("", ""))[1]))
        try:
            check_bundles([bundle], set(items.get(session, [])), f"bundle {name!r}")
        except ValueError as error:
            rejects.add(place, str(error).replace("[0]", "", 1), text)
        else:
            bundles[session].append(bundle)
    return dict(bundles)


BUNDLEREC = Source(read)
