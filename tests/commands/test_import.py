"""`kdb import`: the public data gives the published counts; session lines of any shop pass."""

import json
import shutil
from pathlib import Path

import pytest

PUBLIC = {
    "electronic": {"all": 1145, "annotated": 893, "raw": 1750, "minimal": 1346, "untitled": (740, 362)},
    "clothing": {"all": 1181, "annotated": 968, "raw": 1910, "minimal": 1488, "untitled": (1194, 503)},
}


@pytest.fixture(params=PUBLIC)
def public(request) -> tuple[Path, dict]:
    return request.getfixturevalue(request.param), PUBLIC[request.param]


def bundles(sessions: list[dict]) -> int:
    return sum(len(s.get("bundles", [])) for s in sessions)


def test_public_counts(kdb, public) -> None:
    folder, counts = public
    every = kdb("import", folder, "--untitled", "keep", "--empty", "keep", "--truth", "raw").records
    assert len(every) == counts["all"]
    assert bundles(every) == counts["raw"]
    assert [s["id"] for s in every] == sorted((s["id"] for s in every), key=int)
    sizes = [len(s["items"]) for s in every]
    assert (min(sizes), max(sizes), round(sum(sizes) / len(sizes), 1)) in {(2, 10, 5.7), (2, 10, 5.8)}
    annotated = kdb("import", folder, "--untitled", "keep").records
    assert len(annotated) == counts["annotated"]
    assert bundles(annotated) == counts["minimal"]


def test_public_leak_is_refused(kdb, public) -> None:
    folder, counts = public
    refused = kdb("import", folder)
    items, sessions = counts["untitled"]
    assert refused.code == 1
    assert refused.out == b""
    assert f"{items} items in {sessions} of {counts['annotated']} sessions have no title" in refused.stderr
    assert "0 of them are in a bundle" in refused.stderr
    assert ("item_titles_extra.csv" in refused.stderr) == (folder.name == "electronic")


def test_public_drop_leaves_titled_items(kdb, public) -> None:
    folder, counts = public
    dropped = kdb("import", folder, "--untitled", "drop")
    assert len(dropped.records) == counts["annotated"]
    assert bundles(dropped.records) == counts["minimal"]
    assert all(item["title"] for s in dropped.records for item in s["items"])
    assert "easier" in dropped.stderr


def test_published_split(kdb, electronic: Path) -> None:
    titles = ["--titles", electronic / "item_titles_extra.csv"]
    split = ["--split-file", electronic / "split.json"]
    done = kdb("import", electronic, *titles, *split)
    assert "893 sessions (623 train, 90 validation, 180 test)" in done.stderr
    assert "252 in no split" in done.stderr
    assert all(item["title"] for s in done.records for item in s["items"])
    overlap = [s for s in done.records if len({i for b in s["bundles"] for i in b["items"]}) < bundle_slots(s)]
    assert len(overlap) == 124
    test = kdb("import", electronic, *titles, *split, "--split", "test").records
    assert test == [s for s in done.records if s["split"] == "test"]
    assert len(test) == 180


def bundle_slots(session: dict) -> int:
    return sum(len(b["items"]) for b in session["bundles"])


def test_extra_titles_and_split_are_read_only_when_named(kdb, electronic: Path) -> None:
    done = kdb("import", electronic, "--untitled", "keep")
    assert "LEAK" in done.stderr
    assert not any("split" in s for s in done.records)


def test_ratio_splits_are_seeded_and_whole(kdb, samples: Path) -> None:
    ratio = ["import", samples / "kitchen", "--split-ratio", "7:1:2"]
    first, again, other = kdb(*ratio), kdb(*ratio), kdb(*ratio, "--seed", "1")
    assert first.out == again.out != other.out
    assert "(28 train, 4 validation, 8 test)" in first.stderr
    parts = [r["id"] for name in ("train", "validation,test") for r in kdb(*ratio, "--split", name).records]
    assert sorted(parts) == sorted(r["id"] for r in first.records)


def test_jsonl_passes_untouched(kdb, samples: Path) -> None:
    lines = (samples / "sessions.jsonl").read_bytes()
    odd = b'{ "kind":"session","shop":[1.0],"id":"n","domain":"d","items":[{"id":"1","title":"T","n":2}]}\n'
    other = b'{"kind":"note","text":"\\u00e9"}\n'
    done = kdb("import", "--format", "jsonl", stdin=odd + lines + other)
    assert done.code == 0
    assert done.out == odd + lines + other


def test_jsonl_flags_set_domain_split_and_truth(kdb) -> None:
    items = [{"id": i, "title": f"T{i}", "price": 1} for i in "abc"]
    session = {
        "kind": "session",
        "id": "1",
        "items": items,
        "bundles": [{"items": ["a", "b", "c"]}, {"items": ["a", "b"], "by": "Ann"}, {"items": ["b", "a"]}],
    }
    line = json.dumps(session)
    assert kdb("import", "--format", "jsonl", stdin=line).code == 1
    done = kdb("import", "--format", "jsonl", "--domain", "toys", "--split-ratio", "1:0:0", stdin=line)
    kept = [{"items": ["a", "b"], "by": "Ann"}]
    stamp = {"truth": "minimal", "split": "1:0:0, seed 0"}
    assert done.records == [{**session, "domain": "toys", "split": "train", "bundles": kept, "imported": stamp}]


def test_a_second_import_keeps_what_the_first_has_stamped(kdb, samples: Path) -> None:
    line = (samples / "sessions.jsonl").read_bytes().splitlines()[0]
    [again] = kdb("import", "--format", "jsonl", "--split-ratio", "0:0:1", "--seed", "4", stdin=line).records
    assert again["imported"] == {**json.loads(line)["imported"], "split": "0:0:1, seed 4"}


def test_every_session_says_how_it_was_imported(kdb, samples: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shutil.copytree(samples / "kitchen", shop)
    titles = (shop / "item_titles.csv").read_text().splitlines(keepends=True)
    (shop / "item_titles.csv").write_text("".join(titles[:-2]))
    (shop / "more.csv").write_text("".join([titles[0], titles[-1]]))
    dropped = kdb("import", shop, "--untitled", "drop", "--truth", "raw", "--titles", shop / "more.csv").records
    [stamp] = {json.dumps(s["imported"]): s["imported"] for s in dropped}.values()
    assert {**stamp, "hash": ""} == {
        "source": "shop",
        "hash": "",
        "titles": "more.csv",
        "untitled": "drop",
        "untitled_items": 1,
        "untitled_sessions": stamp["untitled_sessions"],
        "truth": "raw",
    }
    assert stamp["untitled_sessions"] >= 1
    kept = kdb("import", shop, "--untitled", "keep", "--split-ratio", "7:1:2").records[0]["imported"]
    assert (kept["untitled"], kept["untitled_items"], kept["split"]) == ("keep", 2, "0.7:0.1:0.2, seed 0")
    assert kept["hash"] != stamp["hash"]


def test_jsonl_ratio_does_not_depend_on_order(kdb, samples: Path) -> None:
    lines = (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True)
    argv = ["import", "--format", "jsonl", "--split-ratio", "2:1:1", "--seed", "3"]
    forward, backward = (kdb(*argv, stdin=b"".join(part)).records for part in (lines, lines[::-1]))
    assert forward == backward[::-1]
    sizes = {(r["domain"], r["split"]) for r in forward}
    assert len(sizes) == 6


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--split", "test"], "--split needs"),
        (["--split", "dev", "--split-ratio", "7:1:2"], "'dev'"),
        (["--split-ratio", "7:1"], "7:1"),
        (["--split-ratio", "-1:1:1"], "-1:1:1"),
        (["--split-ratio", "1:1:1", "--split-file", "x"], "exclude"),
        (["--split-by", "user"], "--split-ratio"),
        (["--split-ratio", "1:1:1", "--split-time", "2024-01-01,2024-02-01"], "exclude"),
        (["--split-time", "2024-01-01"], "two times"),
        (["--gap", "30m", "--events", "view"], "--format events"),
        (["--format", "events", "--gap", "soon"], "--gap soon"),
        (["--format", "events", "--columns", "usr=x"], "usr=x"),
        (["--format", "events", "--columns", "lastfm"], "recbole"),
        (["--format", "events", "--empty", "drop"], "label"),
    ],
)
def test_contradictions_are_usage_errors(kdb, samples: Path, argv: list[str], says: str) -> None:
    refused = kdb("import", samples / "kitchen", *argv)
    assert refused.code == 2
    assert says in refused.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--seed", "3"], "--seed goes with --split-ratio"),
        (["--split-by", "user"], "--split-by goes with --split-ratio"),
        (["--split-ratio", "7:1:2", "--split-by", "time", "--seed", "3"], "--seed has no effect with --split-by"),
    ],
)
def test_what_draws_no_split_is_refused(kdb, samples, argv: list[str], said: str) -> None:
    done = kdb("import", samples / "kitchen", *argv)
    assert done.code == 2 and said in done.stderr
