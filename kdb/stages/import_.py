"""Turns shop data into session records: `kdb import DIR > sessions.jsonl`.

Untitled items are dealt with, the truth is made minimal, splits are assigned, what is left out is counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from kdb import console
from kdb.provenance import content_hash, file_hash
from kdb.records import Imported, Session, Split
from kdb.sources import bundlerec, jsonl, policy, splits
from kdb.sources.policy import Untitled
from kdb.sources.truth import minimal
from kdb.stream import Line, Rejects

Truth = Literal["minimal", "raw"]
Empty = Literal["keep", "drop"]


@dataclass(frozen=True)
class Settings:
    """How to import; `empty`: sessions without bundles, `only`: the splits to hand on (none: all)."""

    domain: str = ""
    titles: Path | None = None
    untitled: Untitled = "fail"
    truth: Truth = "minimal"
    empty: Empty = "drop"
    split_file: Path | None = None
    split_ratio: tuple[float, float, float] | None = None
    seed: int = 0
    only: frozenset[Split] = frozenset()

    @property
    def split(self) -> str:
        """How sessions are split, in words; empty: as they come."""
        if self.split_file:
            return f"{self.split_file.name} ({file_hash(self.split_file)})"
        return (
            f"{':'.join(f'{share:g}' for share in self.split_ratio)}, seed {self.seed}" if self.split_ratio else ""
        )

    def choose(self, split: Split | None) -> bool:
        """Whether sessions of this split are handed on."""
        return not self.only or split in self.only


def from_bundlerec(folder: Path, settings: Settings, rejects: Rejects) -> list[Session]:
    """The sessions of a BundleRec folder in numeric order of their ids."""
    data = bundlerec.read(folder, settings.titles, rejects)
    left_out: Counter[str] = Counter()
    sessions = list(data.sessions(settings.domain or folder.resolve().name))
    if settings.split_file:
        sessions = _split_by_file(sessions, settings.split_file, left_out)
    sessions = _annotated(sessions, settings, left_out)
    imported = _stamp(folder, settings, *policy.count_untitled(sessions))
    titled = policy.treat(sessions, settings.untitled, folder)
    left_out["with fewer than two titled items"] = len(sessions) - len(titled)
    sessions = _annotated(titled, settings, left_out)
    if settings.truth == "minimal":
        sessions = [replace(s, bundles=minimal(s.truth)) if s.truth else s for s in sessions]
    if settings.split_ratio:
        drawn = _draw(sessions, settings)
        sessions = [replace(s, split=drawn[s.domain, s.id]) for s in sessions]
    chosen = [replace(s, imported=imported) for s in sessions if settings.choose(s.split)]
    left_out["of other splits"] = len(sessions) - len(chosen)
    _say(_describe(chosen), left_out)
    return chosen


def _stamp(folder: Path, settings: Settings, items: int, sessions: int) -> Imported:
    """What every session of the folder is stamped with."""
    named = [path for path in (settings.titles, settings.split_file) if path]
    files = [folder / f"{name}.csv" for name in bundlerec.FILES] + named
    return Imported(
        source=folder.resolve().name,
        hash=content_hash([file_hash(path) for path in files]),
        titles=settings.titles.name if settings.titles else "",
        untitled=settings.untitled if items and settings.untitled != "fail" else "none",
        untitled_items=items,
        untitled_sessions=sessions,
        truth=settings.truth,
        split=settings.split,
    )


def from_jsonl(lines: Iterable[Line], settings: Settings, rejects: Rejects) -> Iterator[Line]:
    """Session lines with domain, split and minimal truth set; other fields and other kinds as they came.

    Where the settings give a domain the lines come undecoded, because they may lack it. A line that is changed is
    stamped with how.
    A drawn split needs all lines before the first is handed on.
    """
    checked = jsonl.checked(lines, settings.domain, settings.untitled == "keep", rejects)
    given = splits.read_split_file(settings.split_file) if settings.split_file else {}
    drawn: dict[tuple[str, str], Split] = {}
    if settings.split_ratio:
        held = list(checked)
        drawn = _draw([line.record for line in held if isinstance(line.record, Session)], settings)
        checked = iter(held)
    kept, left_out, way = 0, Counter[str](), settings.split
    for line in checked:
        session = line.record
        if not isinstance(session, Session):
            yield line
            continue
        split = drawn.get((session.domain, session.id)) or given.get(session.id)
        if settings.split_file and split is None:
            left_out["in no split"] += 1
        elif settings.empty == "drop" and not session.truth:
            left_out["without bundles"] += 1
        elif not settings.choose(split or session.split):
            left_out["of other splits"] += 1
        else:
            kept += 1
            yield jsonl.restated(line, session, split, settings.truth == "minimal", way)
    _say(f"{kept} sessions", left_out)


def _split_by_file(sessions: list[Session], path: Path, left_out: Counter[str]) -> list[Session]:
    given = splits.read_split_file(path)
    strangers = given.keys() - {s.id for s in sessions}
    if strangers:
        example = min(strangers, key=bundlerec.id_order)
        console.warn(f"{path}: {len(strangers)} of its sessions are not in the data, such as {example!r}")
    kept = [replace(s, split=given[s.id]) for s in sessions if s.id in given]
    left_out["in no split"] = len(sessions) - len(kept)
    return kept


def _annotated(sessions: list[Session], settings: Settings, left_out: Counter[str]) -> list[Session]:
    kept = [s for s in sessions if s.truth or settings.empty == "keep"]
    left_out["without bundles"] += len(sessions) - len(kept)
    return kept


def _draw(sessions: list[Session], settings: Settings) -> dict[tuple[str, str], Split]:
    """A split for each session by domain and id, drawn within each domain."""
    assert settings.split_ratio
    ids = defaultdict(list)
    for session in sessions:
        ids[session.domain].append(session.id)
    return {
        (domain, identity): split
        for domain, those in ids.items()
        for identity, split in splits.draw(those, settings.split_ratio, settings.seed).items()
    }


def _describe(sessions: list[Session]) -> str:
    """E.g. `893 sessions (623 train, 90 validation, 180 test), 5153 items, 1346 bundles`."""
    sizes = Counter(s.split for s in sessions if s.split)
    parts = ", ".join(f"{sizes[split]} {split}" for split in splits.SPLITS if sizes[split])
    items = len({item.id for s in sessions for item in s.items})
    bundles = sum(len(s.truth or []) for s in sessions)
    return f"{len(sessions)} sessions{f' ({parts})' if parts else ''}, {items} items, {bundles} bundles"


def _say(kept: str, left_out: Counter[str]) -> None:
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
    console.say(kept + (f"; left out: {reasons}" if reasons else ""))
