"""Session records of any shop as JSON lines: checked, and changed without losing unknown fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UnsetType, structs

from kdb.errors import KdbError
from kdb.io import stream
from kdb.io.stream import Line, Rejects
from kdb.records import ImportInfo, Session, Split
from kdb.sources.bundlerec import read_titles
from kdb.sources.categories import named
from kdb.sources.config import ImportConfig
from kdb.sources.policy import assign_splits, say_left_out
from kdb.sources.source import Source
from kdb.sources.titles import is_missing
from kdb.sources.truth import minimal


def read(paths: Sequence[Path], config: ImportConfig, rejects: Rejects) -> Iterator[Line]:
    """Session lines with domain, titles, split and minimal truth set; other fields and kinds as they came.

    A line that is changed is stamped with how. A drawn split needs all lines before the first is handed on.
    """
    # A line that lacks its domain is no session yet: with --domain they are decoded once it is set.
    lines = stream.read(paths, () if config.domain else ("session",), rejects)
    kept, left_out = 0, Counter[str]()
    for line, split in _split(checked(lines, config, rejects, left_out), config):
        session = line.record
        if not isinstance(session, Session):
            yield line
        elif config.split.file and split is None:
            left_out["in no split"] += 1
        elif config.empty == "drop" and not session.truth:
            left_out["without bundles"] += 1
        elif not config.choose(split or session.split):
            left_out["of other splits"] += 1
        else:
            kept += 1
            yield restated(line, session, split, config)
    say_left_out(f"{kept} sessions", left_out)


def checked(
    lines: Iterable[Line], config: ImportConfig, rejects: Rejects, left_out: Counter[str]
) -> Iterator[Line]:
    """The lines, session lines with their domain and titles set where those are given; other kinds pass.

    A session that does not fit, whose id its domain has already, or that has an item without a title (where those
    are refused) goes to `rejects`.
    """
    titles = read_titles(config.titles, rejects) if config.titles else {}
    seen: dict[tuple[str, str], str] = {}
    for line in lines:
        left: Line | None = line
        try:
            if config.domain and line.kind == "session":
                left = line = line.with_fields(domain=config.domain)
            if isinstance(line.record, Session):
                left = _titled(line, line.record, titles, config)
                left = _without_placeholders(left) if left else None
                _check_id(line, line.record, seen)
        except KdbError as error:
            rejects.add_line(line, error)
            continue
        if left:
            yield left
        else:
            left_out["with fewer than two titled items"] += 1


def restated(line: Line, session: Session, split: Split | None, config: ImportConfig) -> Line:
    """The line with its `split` and, where asked for, its minimal truth.

    Untouched where it has both already. What is changed is stamped on it, over what an earlier import has stamped.
    """
    changes: dict[str, Any] = {}
    smallest = config.truth == "minimal"
    stamp = ImportInfo() if isinstance(session.imported, UnsetType) else session.imported
    if split and split != session.split:
        changes["split"] = split
    bundles = session.truth or []
    kept = {id(bundle) for bundle in minimal(bundles)} if smallest else set()
    if len(kept) < len(bundles) and smallest:
        raw = msgspec.json.decode(line.text)["bundles"]
        changes["bundles"] = [text for text, own in zip(raw, bundles, strict=True) if id(own) in kept]
    if not changes:
        return line
    stamp = structs.replace(
        stamp, split=str(config.split) or stamp.split, truth="minimal" if smallest else stamp.truth
    )
    return line.with_fields(**changes, imported=msgspec.to_builtins(stamp))


def _split(lines: Iterable[Line], config: ImportConfig) -> Iterator[tuple[Line, Split | None]]:
    """Each line with the split that the config gives its session."""
    if not config.split:
        yield from ((line, None) for line in lines)
        return
    held = list(lines)
    sessions = [line.record for line in held if isinstance(line.record, Session)]
    found = iter(assign_splits(sessions, config.split))
    for line in held:
        yield line, next(found) if isinstance(line.record, Session) else None


def _check_id(line: Line, session: Session, seen: dict[tuple[str, str], str]) -> None:
    first = seen.setdefault(session.key, line.place)
    if first != line.place:
        raise line.error(f"id: session {session.id!r} of {session.domain} stands at {first} already")


def _without_placeholders(line: Line) -> Line:
    """The line with an empty intent where a placeholder stands for one."""
    bundles = line.record.truth or [] if isinstance(line.record, Session) else []
    if not any(bundle.intent and is_missing(bundle.intent) for bundle in bundles):
        return line
    raw = msgspec.json.decode(line.text)["bundles"]
    return line.with_fields(bundles=[{**b, "intent": "" if is_missing(b["intent"]) else b["intent"]} for b in raw])


def _titled(line: Line, session: Session, titles: Mapping[str, str], config: ImportConfig) -> Line | None:
    """The line with missing titles filled or their items dropped, and without categories that are placeholders.

    None where fewer than two items are left; KdbError where a title is missing and must not be.
    """
    missing = [n for n, item in enumerate(session.items) if is_missing(item.title)]
    unnamed = any(is_missing(name) for item in session.items for path in item.category for name in path)
    if not (missing or unnamed):
        return line
    left = [n for n in missing if session.items[n].id not in titles]
    if left and config.untitled == "fail":
        title = session.items[left[0]].title
        what = repr(title) if title.strip() else "empty"
        hint = "give it one with --titles, or pass --untitled drop or --untitled keep"
        raise line.error(f"items[{left[0]}].title: {what}", hint)
    raw = msgspec.json.decode(line.text)
    for n in missing:
        raw["items"][n]["title"] = titles.get(session.items[n].id, "")
    for own, item in zip(raw["items"], session.items, strict=True):
        if item.category and unnamed:
            own["category"] = named(item.category)
    if left and config.untitled == "drop":
        _drop(raw, {session.items[n].id for n in left})
        if len(raw["items"]) < 2:
            return None
    stamp = ImportInfo() if isinstance(session.imported, UnsetType) else session.imported
    if left and config.untitled != "fail":
        stamp = structs.replace(stamp, untitled=config.untitled)
    if len(missing) > len(left) and config.titles:
        stamp = structs.replace(stamp, titles=config.titles.name)
    changes = {name: raw[name] for name in ("items", "bundles") if name in raw}
    return line.with_fields(**changes, imported=msgspec.to_builtins(stamp))


def _drop(raw: dict[str, Any], items: set[str]) -> None:
    """Take items out of a decoded session and its bundles, and bundles that are left with fewer than two."""
    raw["items"] = [item for item in raw["items"] if item["id"] not in items]
    for bundle in raw.get("bundles", []):
        bundle["items"] = [item for item in bundle["items"] if item not in items]
    if "bundles" in raw:
        raw["bundles"] = [bundle for bundle in raw["bundles"] if len(bundle["items"]) >= 2]


JSONL = Source(read, knows_splits=True)
