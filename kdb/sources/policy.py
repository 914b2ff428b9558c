"""Items without a title, which give the answer away: in the public data they are those in no bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import UNSET
from msgspec.structs import replace

from kdb import console
from kdb.errors import KdbError
from kdb.records import Session

Untitled = Literal["fail", "drop", "keep"]

EXTRA_TITLES = "item_titles_extra.csv"
"""The name under which titles for the untitled items are handed around; read only where a flag names it."""


def treat(sessions: list[Session], how: Untitled, folder: Path) -> list[Session]:
    """The sessions with their untitled items dropped or kept, with a warning; under `fail` KdbError.

    A session or a bundle that is left with fewer than two items is dropped.
    """
    untitled = {item.id for s in sessions for item in s.items if not item.title}
    if not untitled:
        return sessions
    _, affected = count_untitled(sessions)
    count = f"{len(untitled)} items in {affected} of {len(sessions)} sessions have no title"
    leak = f"{_bundled(sessions, untitled)} of them are in a bundle, so a missing title tells a model the answer"
    if how == "fail":
        raise KdbError(f"{folder}: {count}; {leak}", _remedies(folder))
    if how == "keep":
        console.warn(f"WARNING: {count}; {leak}: every result on these sessions LEAKS")
        return sessions
    console.warn(f"{count} and are dropped; that makes the task another and easier one: say so with each result")
    return [left for s in sessions if (left := _without(s, untitled))]


def count_untitled(sessions: list[Session]) -> tuple[int, int]:
    """How many items have no title, and in how many sessions."""
    items = {item.id for s in sessions for item in s.items if not item.title}
    return len(items), sum(any(not item.title for item in s.items) for s in sessions)


def _bundled(sessions: list[Session], untitled: set[str]) -> int:
    return len(untitled & {i for s in sessions for bundle in s.truth or [] for i in bundle.items})


def _remedies(folder: Path) -> str:
    extra = folder / EXTRA_TITLES
    titles = extra if extra.is_file() else "FILE"
    return (
        f"give the titles with --titles {titles}, or leave these items out with --untitled drop, "
        "which makes the task easier, or keep the leak with --untitled keep"
    )


def _without(session: Session, untitled: set[str]) -> Session | None:
    items = [item for item in session.items if item.id not in untitled]
    if len(items) < 2:
        return None
    shortened = [
        replace(bundle, items=[i for i in bundle.items if i not in untitled]) for bundle in session.truth or []
    ]
    bundles = [bundle for bundle in shortened if len(bundle.items) >= 2]
    return replace(session, items=items, bundles=bundles or UNSET)
