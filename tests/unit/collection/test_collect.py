"""Distinct bundles of many predictions: counted as one would by hand, and near ones together."""

import csv
import io
import json
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdb.collection import occurrences
from kdb.collection.similar import jaccard, representatives
from kdb.io.stream import Line
from kdb.records import Bundle, Prediction
from kdb.stages.collect import CollectConfig, collect_bundles


def prediction(n: int, *bundles: tuple[str, str, float | None], **more: object) -> dict:
    found = [{"items": items.split(), "intent": intent} | ({} if p is None else {"probability": p})
             for items, intent, p in bundles]  # fmt: skip
    return {"kind": "prediction", "id": str(n), "domain": "d", "items": list("abcd"), "bundles": found,
            "status": "ok", "run": "r", **more}  # fmt: skip


LINES = [
    prediction(1, ("b a", "light", 0.5), ("c d", "pots", None), user="u", time=1700000000),
    prediction(2, ("a b", "lamps", 1.0), user="u", time=1700003600),
    prediction(3, ("a b", "lamps", None), ("a b c", "", 0.9), user="v", time=1699999999),
    prediction(4),
]
SESSION = {"kind": "session", "id": "1", "domain": "d",
           "items": [{"id": i, "title": f'{i.upper()} 5"'} for i in "abcd"]}  # fmt: skip
STDIN = "".join(json.dumps(line) + "\n" for line in LINES)


def items(record: dict) -> str:
    return "".join(item["id"] for item in record["items"])


def test_each_bundle_once(kdb) -> None:
    done = kdb("collect", stdin=STDIN)
    assert [(items(r), r.get("intent", ""), r["sessions"], r.get("users")) for r in done.records] == [
        ("ab", "lamps", 3, 2),
        ("abc", "", 1, 1),
        ("cd", "pots", 1, 1),
    ]
    first = done.records[0]
    assert (first["probability"], first["first"], first["last"]) == (0.75, 1699999999, 1700003600)
    assert "probability" not in done.records[2]
    assert "3 distinct bundles in 4 predictions, 3 listed" in done.stderr


@pytest.mark.parametrize(
    ("argv", "listed"),
    [
        (["--min-sessions", "2"], ["ab"]),
        (["--min-users", "2"], ["ab"]),
        (["--min-probability", "0.8"], ["abc"]),
        (["--top", "2"], ["ab", "abc"]),
        (["--sort", "probability"], ["abc", "ab", "cd"]),
        (["--sort", "last", "--top", "2"], ["ab", "cd"]),
        (["--similar", "0.6"], ["ab", "cd"]),
    ],
)
def test_what_is_listed(kdb, argv: list[str], listed: list[str]) -> None:
    assert [items(r) for r in kdb("collect", *argv, stdin=STDIN).records] == listed


def test_near_bundles_count_once_a_session(kdb) -> None:
    first = kdb("collect", "--similar", "0.6", stdin=STDIN).records[0]
    assert (first["sessions"], first["users"], first["probability"]) == (3, 2, 0.8)


def test_table_for_a_shop(kdb) -> None:
    done = kdb("collect", "--format", "csv", "--top", "1", stdin=STDIN + json.dumps(SESSION))
    [row] = csv.DictReader(io.StringIO(done.stdout))
    assert row == {
        "domain": "d",
        "items": "a;b",
        "titles": 'A 5" | B 5"',
        "intent": "lamps",
        "sessions": "3",
        "users": "2",
        "probability": "0.75",
        "first": "2023-11-14T22:13:19Z",
        "last": "2023-11-14T23:13:20Z",
    }


def test_nothing_to_collect_and_bad_lines(kdb) -> None:
    assert kdb("collect", stdin=json.dumps(SESSION)).code == 1
    bad = json.dumps(prediction(9) | {"bundles": [{"items": "ab"}]})
    refused = kdb("collect", stdin=STDIN + bad)
    assert (refused.code, refused.out) == (1, b"")
    assert "stdin:5: bundles[0].items" in refused.stderr
    assert kdb("collect", stdin=json.dumps(prediction(1))).records == []


def test_two_runs_are_said(kdb) -> None:
    more = json.dumps(prediction(1, ("a b", "x", 0.1)) | {"run": "other"})
    done = kdb("collect", stdin=STDIN + more)
    assert done.records[0]["sessions"] == 3
    assert "predictions of 2 runs are counted together" in done.stderr


some_items = st.sets(st.sampled_from("abcdefgh"), min_size=1, max_size=5).map(sorted)
sets = st.lists(some_items, max_size=25, unique_by=tuple)


@given(sets, st.sampled_from([0.3, 0.5, 2 / 3, 0.8, 1.0]))
def test_representatives_are_those_of_all_comparisons(drawn: list[list[str]], threshold: float) -> None:
    standing: list[int] = []
    for number, found in enumerate(representatives(drawn, threshold)):
        near = [(jaccard(set(drawn[number]), set(drawn[n])), -n) for n in standing]
        best = max(near, default=(0.0, 0))
        assert found == (-best[1] if best[0] >= threshold else number)
        if found == number:
            standing.append(number)


bundle = st.tuples(st.sampled_from(["ab", "ba", "bc", "abc"]), st.sampled_from(["x", "y", ""]))


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("uv"), bundle), min_size=1, max_size=30))
def test_counts_are_those_of_a_plain_loop(drawn: list[tuple[int, str, tuple[str, str]]]) -> None:
    expected: dict[str, tuple[set, set, list]] = defaultdict(lambda: (set(), set(), []))
    lines = []
    for session, user, (letters, intent) in drawn:
        bundles = [Bundle(list(letters), intent)]
        record = Prediction(
            id=str(session), domain="d", items=list("abc"), bundles=bundles, status="ok", run="r", user=user
        )
        lines.append(Line("", "prediction", record))
        ids, users, intents = expected["".join(sorted(letters))]
        ids.add(session)
        users.add(user)
        intents.append(intent)
    batch, occurrences.BATCH = occurrences.BATCH, 7
    try:
        found = list(collect_bundles(lines, CollectConfig()))
    finally:
        occurrences.BATCH = batch
    assert {"".join(i.id for i in b.items): (b.sessions, b.users) for b in found} == {
        key: (len(ids), len(users)) for key, (ids, users, _) in expected.items()
    }
    for b in found:
        named = [intent for intent in expected["".join(i.id for i in b.items)][2] if intent]
        assert b.intent == (min(set(named), key=lambda i: (-named.count(i), i)) if named else "")
