"""Which session is for training, validation or test: by a file or by a seeded draw."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import msgspec

from kdb.errors import KdbError, UsageError
from kdb.records import Split

SPLITS: tuple[Split, ...] = get_args(Split)


def read_split_file(path: Path) -> dict[str, Split]:
    """The split of each session id in a JSON file `{"train": [ids], "validation": [ids], "test": [ids]}`."""
    try:
        lists = msgspec.json.decode(path.read_bytes(), type=dict[Split, list[str | int]])
    except OSError as error:
        raise KdbError(f"{path}: {error.strerror}") from None
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


def parse_ratio(text: str) -> tuple[float, float, float]:
    """`7:1:2` as shares of train, validation and test that sum to 1; UsageError where it is not that."""
    try:
        train, validation, test = (float(part) for part in text.split(":"))
    except ValueError:
        train = validation = test = -1
    total = train + validation + test
    if not 0 < total < float("inf") or min(train, validation, test) < 0:
        raise UsageError(f"--split-ratio {text}: not a ratio", "train:validation:test, such as 7:1:2")
    return train / total, validation / total, test / total


def parse_names(texts: Iterable[str]) -> frozenset[Split]:
    """Names of splits, each text holding one or several with commas; UsageError where one is unknown."""
    names = {name.strip() for text in texts for name in text.split(",")}
    unknown = names - {*SPLITS}
    if unknown:
        raise UsageError(f"--split {min(unknown)!r}: no such split", f"one of {', '.join(SPLITS)}")
    return frozenset(split for split in SPLITS if split in names)


def draw(ids: Iterable[str], ratio: tuple[float, float, float], seed: int) -> dict[str, Split]:
    """A split for each id, drawn by `seed` and by the set of ids alone, not by their order."""
    shuffled = sorted(set(ids))
    random.Random(seed).shuffle(shuffled)
    ends = [round(len(shuffled) * share) for share in (ratio[0], ratio[0] + ratio[1])]
    return {identity: SPLITS[sum(n >= end for end in ends)] for n, identity in enumerate(shuffled)}
