"""Splits by time and by user: no user on two sides, no training session after a test session begins."""

import json
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.errors import KdbError, UsageError
from kdb.sources.splits import SplitRule, parse_ratio, parse_times

RATIO = parse_ratio("7:1:2")
visits = st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 50)), min_size=1, max_size=60)


@given(visits, st.integers(0, 3))
def test_a_user_is_on_one_side(drawn: list[tuple[str, int]], seed: int) -> None:
    users, times = zip(*drawn, strict=True)
    rule = SplitRule(ratio=RATIO, by="user", seed=seed)
    sides = defaultdict(set)
    for user, split in zip(users, rule.assign([str(n) for n in range(len(users))], users, times), strict=True):
        sides[user].add(split)
    assert all(len(splits) == 1 for splits in sides.values())
    assert str(rule) == f"0.7:0.1:0.2 of users, seed {seed}"


@given(visits)
def test_time_goes_forward(drawn: list[tuple[str, int]]) -> None:
    users, times = zip(*drawn, strict=True)
    splits = SplitRule(ratio=RATIO, by="time").assign([str(n) for n in range(len(users))], users, times)
    by_split = defaultdict(list)
    for split, time in zip(splits, times, strict=True):
        by_split[split].append(time)
    order = [by_split[name] for name in ("train", "validation", "test") if by_split[name]]
    assert all(max(before) < min(after) for before, after in pairwise(order))
    if len(set(times)) == len(times):
        assert abs(len(by_split["train"]) - 0.7 * len(times)) <= 1


def test_two_dates() -> None:
    rule = SplitRule(times=parse_times("2024-01-01,2024-02-01T12:00:00+01:00"))
    times = [1704067199, 1704067200, 1706785199, 1706785200]
    assert rule.assign(list("abcd"), [None] * 4, times) == ["train", "validation", "validation", "test"]
    assert str(rule) == "time, at 2024-01-01 and 2024-02-01T11:00:00Z"


@pytest.mark.parametrize("text", ["2024-01-01", "2024-02-01,2024-01-01", "a,b", ""])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--split-time"):
        parse_times(text)


def test_what_a_split_needs_must_be_there() -> None:
    with pytest.raises(KdbError, match="1 of 2 sessions have no user"):
        SplitRule(ratio=RATIO, by="user").assign(["1", "2"], ["u", None], [1, 2])
    with pytest.raises(KdbError, match="2 of 2 sessions have no time"):
        SplitRule(ratio=RATIO, by="time").assign(["1", "2"], ["u", "v"], [None, None])


def test_records_are_split_by_their_user(kdb) -> None:
    items = [{"id": "a", "title": "A"}]
    lines = [
        json.dumps({"kind": "session", "id": str(n), "domain": "d", "items": items, "user": f"u{n % 3}", "time": n})
        for n in range(30)
    ]
    argv = ["import", "--format", "jsonl", "--split-ratio", "1:1:1"]
    by_user = kdb(*argv, "--split-by", "user", stdin="\n".join(lines)).records
    assert {(r["user"], r["split"]) for r in by_user} == {(r["user"], r["split"]) for r in by_user[:3]}
    assert by_user[0]["imported"]["split"].endswith("of users, seed 0")
    by_time = kdb(*argv, "--split-by", "time", stdin="\n".join(lines[::-1])).records
    assert [r["split"] for r in by_time[::-1]] == ["train"] * 10 + ["validation"] * 10 + ["test"] * 10
