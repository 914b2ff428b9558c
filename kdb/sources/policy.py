"""What `kdb import` does with annotated sessions: missing titles, categories that give answers away, splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from msgspec import UNSET
from msgspec.structs import replace

from kdb import console
from kdb.errors import KdbError
from kdb.records import ImportInfo, Session, Split
from kdb.sources import splits
from kdb.sources.config import ImportConfig
from kdb.sources.truth import minimal

EXTRA_TITLES = "item_titles_extra.csv"
"""The name under which titles for the untitled items are handed around; read only where a flag names it."""


def apply_policy(sessions: list[Session], config: ImportConfig, source: Path, stamp: ImportInfo) -> list[Session]:
    """The sessions as they are handed on, with what became of them stamped on and said on stderr."""
    left_out: Counter[str] = Counter()
    if config.split.file:
        sessions = _in_split_file(sessions, config.split.file, left_out)
    sessions = _annotated(sessions, config, left_out)
    untitled = {item.id for s in sessions for item in s.items if not item.title}
    affected = sum(any(not item.title for item in s.items) for s in sessions)
    titled = _treated(sessions, untitled, affected, config, source) if untitled else sessions
    left_out["with fewer than two titled items"] = len(sessions) - len(titled)
    sessions = _annotated(titled, config, left_out)
    if config.split:
        found = assign_splits(sessions, config.split)
        sessions = [replace(s, split=split) for s, split in zip(sessions, found, strict=True)]
    sessions = without_leaked_categories(sessions)
    if config.truth == "minimal":
        sessions = [replace(s, bundles=minimal(s.truth)) if s.truth else s for s in sessions]
    stamp = replace(
        stamp,
        untitled=config.untitled if untitled and config.untitled != "fail" else "none",
        untitled_items=len(untitled),
        untitled_sessions=affected,
    )
    chosen = [replace(s, imported=stamp) for s in sessions if config.choose(s.split)]
    left_out["of other splits"] = len(sessions) - len(chosen)
    say_left_out(_describe(chosen), left_out)
    return chosen


def _treated(
    sessions: list[Session], untitled: set[str], affected: int, config: ImportConfig, source: Path
) -> list[Session]:
    """The sessions with their untitled items dropped or kept, with a warning; under "fail" KdbError.

    A session or a bundle that is left with fewer than two items is dropped.
    """
    count = f"{len(untitled)} items in {affected} of {len(sessions)} sessions have no title"
    leak = f"{_bundled(sessions, untitled)} of them are in a bundle, so a missing title tells a model the answer"
    if config.untitled == "fail":
        raise KdbError(f"{source}: {count}; {leak}", _remedies(source))
    if config.untitled == "keep":
        console.warn(f"WARNING: {count}; {leak}: every result on these sessions LEAKS")
        return sessions
    console.warn(f"{count} and are dropped; that makes the task another and easier one: say so with each result")
    return [left for s in sessions if (left := without(s, untitled))]


def without(session: Session, untitled: set[str]) -> Session | None:
    """The session without some items, and without bundles of fewer than two others; None where it is one itself."""
    items = [item for item in session.items if item.id not in untitled]
    if len(items) < 2:
        return None
    shortened = [
        replace(bundle, items=[i for i in bundle.items if i not in untitled]) for bundle in session.truth or []
    ]
    bundles = [bundle for bundle in shortened if len(bundle.items) >= 2]
    return replace(session, items=items, bundles=bundles or UNSET)


def assign_splits(sessions: Sequence[Session], rule: splits.SplitRule) -> list[Split | None]:
    """The split of each session; each domain is split by itself."""
    domains = defaultdict(list)
    for number, session in enumerate(sessions):
        domains[session.domain].append(number)
    found: dict[int, Split | None] = {}
    for numbers in domains.values():
        those = [sessions[n] for n in numbers]
        users = [None if s.user is UNSET else str(s.user) for s in those]
        times = [s.time if isinstance(s.time, int | float) else None for s in those]
        found |= zip(numbers, rule.assign([s.id for s in those], users, times), strict=True)
    return [found[n] for n in range(len(sessions))]


def without_leaked_categories(sessions: list[Session]) -> list[Session]:
    """The sessions without the categories that only bundles of other splits make known.

    Nothing changes where items outside all bundles have categories too. Where they have none, a category is there
    because somebody put the item into a bundle: a training session may know those of bundles for training, and
    another one those of its own split beside them.
    """
    bundled = {split: _items_in_bundles(sessions, split) for split in (*splits.SPLITS, None)}
    everywhere = set[str]().union(*bundled.values())
    categories = {item.id for s in sessions for item in s.items if item.category}
    if not categories <= everywhere or not any(s.split for s in sessions):
        return sessions
    changed, left = set[str](), list[Session]()
    for session in sessions:
        known = bundled["train"] | bundled[session.split]
        strange = {item.id for item in session.items if item.category and item.id not in known}
        changed |= strange
        items = [replace(i, category=[]) if i.id in strange else i for i in session.items]
        left.append(replace(session, items=items) if strange else session)
    if changed:
        console.say(
            f"{len(changed)} items have a category only by bundles of other splits, which leaks: left out there"
        )
    return left


def say_left_out(kept: str, left_out: Counter[str]) -> None:
    """What was kept and what not, by reason, on stderr."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
    console.say(kept + (f"; left out: {reasons}" if reasons else ""))


def _in_split_file(sessions: list[Session], path: Path, left_out: Counter[str]) -> list[Session]:
    given = splits.read_split_file(path)
    strangers = given.keys() - {s.id for s in sessions}
    if strangers:
        console.warn(f"{path}: {len(strangers)} of its sessions are not in the data, such as {min(strangers)!r}")
    kept = [s for s in sessions if s.id in given]
    left_out["in no split"] = len(sessions) - len(kept)
    return kept


def _annotated(sessions: list[Session], config: ImportConfig, left_out: Counter[str]) -> list[Session]:
    kept = [s for s in sessions if s.truth or config.empty == "keep"]
    left_out["without bundles"] += len(sessions) - len(kept)
    return kept


def _items_in_bundles(sessions: Sequence[Session], split: Split | None) -> set[str]:
    return {i for s in sessions if s.split == split for bundle in s.truth or [] for i in bundle.items}


def _bundled(sessions: Sequence[Session], untitled: set[str]) -> int:
    return len(untitled & {i for s in sessions for bundle in s.truth or [] for i in bundle.items})


def _remedies(source: Path) -> str:
    extra = source / EXTRA_TITLES
    titles = extra if extra.is_file() else "FILE"
    return (
        f"give the titles with --titles {titles}, or leave these items out with --untitled drop, "
        "which makes the task easier, or keep the leak with --untitled keep"
    )


def _describe(sessions: Sequence[Session]) -> str:
    """E.g. `893 sessions (623 train, 90 validation, 180 test), 5153 items, 1346 bundles`."""
    sizes = Counter(s.split for s in sessions if s.split)
    parts = ", ".join(f"{sizes[split]} {split}" for split in splits.SPLITS if sizes[split])
    items = len({item.id for s in sessions for item in s.items})
    bundles = sum(len(s.truth or []) for s in sessions)
    return f"{len(sessions)} sessions{f' ({parts})' if parts else ''}, {items} items, {bundles} bundles"
