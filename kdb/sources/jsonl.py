"""Session records of any shop as JSON lines: checked, and changed without losing unknown fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import UnsetType, structs

from kdb.errors import KdbError
from kdb.records import Imported, Session, Split
from kdb.sources.truth import minimal
from kdb.stream import Line, Rejects


def checked(lines: Iterable[Line], domain: str, untitled: bool, rejects: Rejects) -> Iterator[Line]:
    """The lines, session lines with their `domain` set where one is given; other kinds pass.

    A session that does not fit, whose id its domain has already, or that has an item without a title
    (unless `untitled` ones are allowed) goes to `rejects`.
    """
    seen: dict[tuple[str, str], str] = {}
    for line in lines:
        try:
            if domain and line.kind == "session":
                line = line.stamped(domain=domain)
            if isinstance(line.record, Session):
                _check(line, line.record, untitled, seen)
        except KdbError as error:
            rejects.add_line(line, error)
        else:
            yield line


def _check(line: Line, session: Session, untitled: bool, seen: dict[tuple[str, str], str]) -> None:
    for n, item in enumerate(session.items):
        if not untitled and not item.title.strip():
            raise line.error(f"items[{n}].title: empty", "give it one, or pass --untitled keep")
    first = seen.setdefault((session.domain, session.id), line.place)
    if first != line.place:
        raise line.error(f"id: session {session.id!r} of {session.domain} stands at {first} already")


def restated(line: Line, session: Session, split: Split | None, smallest: bool, way: str) -> Line:
    """The line with `split`, drawn in some `way`, and, if `smallest`, its minimal truth.

    Untouched where it has both already. What is changed is stamped on it, over what an earlier import has stamped.
    """
    changes: dict[str, Any] = {}
    stamp = Imported() if isinstance(session.imported, UnsetType) else session.imported
    if split and split != session.split:
        changes["split"] = split
    bundles = session.truth or []
    kept = {id(bundle) for bundle in minimal(bundles)} if smallest else set()
    if len(kept) < len(bundles) and smallest:
        raw = msgspec.json.decode(line.text)["bundles"]
        changes["bundles"] = [text for text, own in zip(raw, bundles, strict=True) if id(own) in kept]
    if not changes:
        return line
    stamp = structs.replace(stamp, split=way or stamp.split, truth="minimal" if smallest else stamp.truth)
    return line.stamped(**changes, imported=msgspec.to_builtins(stamp))
