"""Which session is for training, validation or test: by a file, by a seeded draw, by user, or by time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar, get_args

import msgspec

from kdb.errors import KdbError, UsageError
from kdb.io.files import os_errors
from kdb.io.provenance import file_hash
from kdb.records import Split
from kdb.registry import check

SPLITS: tuple[Split, ...] = get_args(Split)
SplitBy = Literal["session", "user", "time"]
T = TypeVar("T")
Shares = tuple[float, float, float]


@dataclass(frozen=True)
class SplitRule:
    """How sessions are split; without any of the three they are not.

    `ratio`: shares of sessions drawn by `seed`, of users (no user is on two sides), or of sessions in the order of
    time. `times`: Unix seconds at which validation and test begin.
    """

    file: Path | None = None
    ratio: Shares | None = None
    by: SplitBy = "session"
    times: tuple[int, int] | None = None
    seed: int = 0

    def __bool__(self) -> bool:
        return bool(self.file or self.ratio or self.times)

    def __str__(self) -> str:
        """In words, for the data policy of a result."""
        if self.file:
            return f"{self.file.name} ({file_hash(self.file)})"
        if self.times:
            return f"time, at {' and '.join(_day(second) for second in self.times)}"
        if not self.ratio:
            return ""
        ratio = ":".join(f"{share:g}" for share in self.ratio)
        drawn = {
            "session": f", seed {self.seed}",
            "user": f" of users, seed {self.seed}",
            "time": " in order of time",
        }
        return ratio + drawn[self.by]

    def assign(
        self, ids: Sequence[str], users: Sequence[str | None], times: Sequence[float | None]
    ) -> list[Split | None]:
        """The split of each session of a domain; None for those that the split file does not name.

        KdbError where sessions lack the user or the time that the rule needs.
        """
        if self.file:
            given = read_split_file(self.file)
            return [given.get(identity) for identity in ids]
        if self.times:
            return list(_at(_known(times, "time"), self.times))
        if not self.ratio:
            return [None] * len(ids)
        if self.by == "time":
            moments = _known(times, "time")
            return list(_at(moments, cut(moments, self.ratio)))
        units = _known(users, "user") if self.by == "user" else ids
        drawn = draw(units, self.ratio, self.seed)
        return [drawn[unit] for unit in units]


def read_split_file(path: Path) -> dict[str, Split]:
    """The split of each session id in a JSON file `{"train": [ids], "validation": [ids], "test": [ids]}`."""
    with os_errors(path):
        data = path.read_bytes()
    try:
        lists = msgspec.json.decode(data, type=dict[Split, list[str | int]])
    except (msgspec.DecodeError, RecursionError) as error:
        hint = 'expected {"train": [ids], "validation": [ids], "test": [ids]}'
        raise KdbError(f"{path}: {error}", hint) from None
    splits: dict[str, Split] = {}
    for split, ids in lists.items():
        for identity in map(str, ids):
            if identity in splits:
                raise KdbError(f"{path}: {split}: session {identity!r} is in {splits[identity]} already")
            splits[identity] = split
    return splits


def parse_ratio(text: str) -> Shares:
    """`7:1:2` as shares of train, validation and test that sum to 1; UsageError where it is not that."""
    try:
        train, validation, test = (float(part) for part in text.split(":"))
    except ValueError:
        train = validation = test = -1
    total = train + validation + test
    if not 0 < total < float("inf") or min(train, validation, test) < 0:
        raise UsageError(f"--split-ratio {text}: not a ratio", "train:validation:test, such as 7:1:2")
    return train / total, validation / total, test / total


def parse_times(text: str) -> tuple[int, int]:
    """`2024-01-01,2024-02-01` as Unix seconds at which validation and test begin; without a zone in UTC.

    UsageError where it is not that.
    """
    try:
        first, second = (datetime.fromisoformat(part.strip()) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--split-time {text}: not two times", "such as 2024-01-01,2024-02-01T12:00:00Z") from None
    start, end = (int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()) for time in (first, second))
    if start > end:
        raise UsageError(f"--split-time {text}: the second is before the first", "validation begins, then test")
    return start, end


def parse_names(texts: Iterable[str]) -> frozenset[Split]:
    """Names of splits, each text holding one or several with commas; UsageError where one is unknown."""
    names = {name.strip() for text in texts for name in text.split(",")}
    for name in sorted(names):
        check(SPLITS, name, "--split")
    return frozenset(split for split in SPLITS if split in names)


def draw(ids: Iterable[str], ratio: Shares, seed: int) -> dict[str, Split]:
    """A split for each id, drawn by `seed` and by the set of ids alone, not by their order."""
    shuffled = sorted(set(ids))
    random.Random(seed).shuffle(shuffled)
    ends = [round(len(shuffled) * share) for share in (ratio[0], ratio[0] + ratio[1])]
    return {identity: SPLITS[sum(n >= end for end in ends)] for n, identity in enumerate(shuffled)}


def cut(times: Sequence[float], ratio: Shares) -> tuple[float, float]:
    """Where validation and test begin, so that the splits have these shares, or less where times are the same."""
    ordered = [*sorted(times), float("inf")]
    ends = (round(len(times) * share) for share in (ratio[0], ratio[0] + ratio[1]))
    first, second = (ordered[min(end, len(times))] for end in ends)
    return first, second


def _at(times: Iterable[float], cuts: tuple[float, float]) -> Iterable[Split]:
    return (SPLITS[(time >= cuts[0]) + (time >= cuts[1])] for time in times)


def _known(values: Sequence[T | None], name: str) -> list[T]:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        raise KdbError(
            f"{len(values) - len(known)} of {len(values)} sessions have no {name}, and cannot be split by it",
            "--split-by session",
        )
    return known


def _day(second: int) -> str:
    text = datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
    return text.removesuffix("T00:00:00Z")
