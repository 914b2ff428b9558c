"""Reading BundleRec folders: cleaning, categories, minimal truth, splits, and files that are broken."""

import json
import random
import re
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.errors import KdbError
from kdb.records import Bundle
from kdb.sources import splits
from kdb.sources.categories import parse
from kdb.sources.titles import clean
from kdb.sources.truth import minimal

GOOD = {
    "session_item": "session ID,item ID\n10,1\n10,2\n10,3\n9,1\n9,2\n",
    "session_bundle": "session ID,bundle ID\n10,0\n10,1\n9,2\n",
    "bundle_item": "bundle ID,item ID\n0,1\n0,2\n1,1\n1,2\n1,3\n2,1\n2,2\n",
    "bundle_intent": 'bundle ID,intent\n0,"tea\n time "\n1,kitchen\n2,tea\n',
    "item_titles": 'item ID,titles\n1,"Kettle, 1 l &amp;quot;Red&amp;quot;"\n2,Tea pot\n3,Whisk\n',
    "item_categories": 'item ID,categories\n1,"[[Home,Pots, Pans & More],[Gifts]]"\n',
}


@pytest.fixture
def shop(kdb, tmp_path: Path) -> Callable:
    """Import a folder with some of its files replaced (None: missing)."""

    def run(argv: tuple[str, ...] = (), **files: str | bytes | None):
        (tmp_path / "shop").mkdir(exist_ok=True)
        for name, content in {**GOOD, **files}.items():
            if content is not None:
                data = content if isinstance(content, bytes) else content.encode()
                (tmp_path / "shop" / f"{name}.csv").write_bytes(data)
        return kdb("import", "shop", *argv, cwd=tmp_path)

    return run


def test_a_folder_becomes_sessions(shop) -> None:
    first, second = shop().records
    stamp = first.pop("imported")
    assert stamp == second["imported"]
    assert re.fullmatch("[0-9a-f]{16}", stamp.pop("hash"))
    assert stamp == {"source": "shop", "untitled": "none", "truth": "minimal"}
    kettle = {
        "id": "1",
        "title": 'Kettle, 1 l "Red"',
        "category": [["Home", "Pots, Pans & More"], ["Gifts"]],
    }
    assert first == {
        "kind": "session",
        "v": 2,
        "id": "9",
        "domain": "shop",
        "items": [kettle, {"id": "2", "title": "Tea pot"}],
        "bundles": [{"items": ["1", "2"], "intent": "tea"}],
    }
    assert second["id"] == "10"
    assert second["bundles"] == [{"items": ["1", "2"], "intent": "tea time"}]


def test_byte_order_mark_other_columns_and_line_ends_are_taken(shop) -> None:
    titles = b"\xef\xbb\xbfstock,item ID,titles\r\n5,1,Kettle\r\n\r\n0,2,Tea pot\r\n7,3,Whisk\r\n"
    assert shop(item_titles=titles).code == 0


def test_long_titles_and_control_tokens_pass(shop) -> None:
    title = "<|im_end|>\x00 " + "Kettle " * 20_000
    done = shop(item_titles=f"item ID,titles\n1,{title}\n2,Tea pot\n3,Whisk\n")
    assert done.records[0]["items"][0]["title"] == title.strip()


BROKEN: dict[str, tuple[dict[str, str | bytes | None], str]] = {
    "a file is missing": ({"bundle_item": None}, "bundle_item.csv: No such file"),
    "empty file": ({"session_item": ""}, "session_item.csv:1: empty (expected the columns session ID, item ID)"),
    "missing column": ({"item_titles": "item ID,name\n1,Kettle\n"}, "item_titles.csv:1: no column 'titles'"),
    "truncated row": ({"session_item": GOOD["session_item"] + "11"}, "session_item.csv:7: 1 fields where"),
    "a comma too many": ({"bundle_intent": "bundle ID,intent\n0,a,b\n"}, "bundle_intent.csv:2: 3 fields where"),
    "open quote": ({"item_titles": 'item ID,titles\n1,A\n2,"B\n3,C\n'}, "item_titles.csv:3: a quote is not closed"),
    "invalid UTF-8": ({"item_titles": b"item ID,titles\n1,A\n2,\xff\n"}, "item_titles.csv:3: not valid UTF-8"),
    "an item twice": (
        {"session_item": GOOD["session_item"] + "9,2\n"},
        "session_item.csv:7: item '2' stands twice in session '9'",
    ),
    "an empty id": ({"session_item": "session ID,item ID\n1,\n"}, "session_item.csv:2: an id is empty"),
    "a title twice": ({"item_titles": "item ID,titles\n1,A\n1,B\n"}, "item_titles.csv:3: item ID '1' stands twice"),
    "unknown item": (
        {"session_bundle": GOOD["session_bundle"] + "9,1\n"},
        "session_bundle.csv:5: bundle '1': item '3' is not in the session",
    ),
    "unknown bundle": (
        {"session_bundle": "session ID,bundle ID\n9,77\n"},
        "session_bundle.csv:2: bundle '77': fewer than two items",
    ),
    "unknown session": ({"session_bundle": "session ID,bundle ID\n5,0\n"}, "session_bundle.csv:2: bundle '0'"),
    "bad category": ({"item_categories": "item ID,categories\n1,[Home]\n"}, "item_categories.csv:2: categories:"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_name_the_line(shop, case: str) -> None:
    files, says = BROKEN[case]
    done = shop(**files)
    assert done.code == 1
    assert done.out == b""
    assert done.stderr.startswith(f"kdb: shop/{says}")
    assert done.stderr.count("\n") == 1


def test_broken_rows_are_put_aside(shop, tmp_path: Path) -> None:
    files = {"session_item": GOOD["session_item"] + "9,2\n", "session_bundle": GOOD["session_bundle"] + "9,1\n"}
    done = shop(("--rejects", "rejects.jsonl"), **files)
    assert done.code == 1
    assert len(done.records) == 2
    places = [json.loads(line)["place"] for line in (tmp_path / "rejects.jsonl").open()]
    assert places == ["shop/session_item.csv:7", "shop/session_bundle.csv:5"]


def test_dropping_untitled_items_drops_what_is_too_small(shop) -> None:
    titles = "item ID,titles\n2,Tea pot\n3, &nbsp; \n"
    done = shop(("--untitled", "drop"), item_titles=titles)
    assert (done.code, done.records) == (0, [])
    assert "2 items in 2 of 2 sessions have no title" in done.stderr
    assert "2 with fewer than two titled items" in done.stderr


def test_extra_titles_only_fill_gaps(shop, tmp_path: Path) -> None:
    (tmp_path / "extra.csv").write_text("item ID,titles\n1,Other\n3,Spoon\n")
    done = shop(("--titles", "extra.csv"), item_titles="item ID,titles\n1,Kettle\n2,Tea pot\n")
    assert [item["title"] for item in done.records[1]["items"]] == ["Kettle", "Tea pot", "Spoon"]


@given(st.text() | st.text("&amp;quotl#39x "))
def test_cleaning_is_final(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert once == " ".join(once.split())


names = st.lists(st.text("ab &-:").map("a'{}".format), min_size=1, max_size=3)


@given(st.lists(st.lists(names.map(", ".join), min_size=1, max_size=4), min_size=1, max_size=4))
def test_categories_are_read_back(paths: list[list[str]]) -> None:
    cleaned = [[clean(name) for name in path] for path in paths]
    text = "[[" + "],[".join(",".join(path) for path in cleaned) + "]]"
    assert parse(text) == cleaned


@pytest.mark.parametrize(
    "text", ["[Home]", "[[Home]", "[Home]]", "[['Home',Lamps]]", '["Home", 3]', '[["Home"], "x"]']
)
def test_other_categories_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text)


sets = st.frozensets(st.sampled_from("abcde"), min_size=2)


@given(st.lists(sets, max_size=6))
def test_minimal_truth(drawn: list[frozenset[str]]) -> None:
    bundles = [Bundle(sorted(items), str(n)) for n, items in enumerate(drawn)]
    kept = minimal(bundles)
    found = [frozenset(b.items) for b in kept]
    assert not any(a <= b for a, b in permutations(found, 2))
    assert all(any(a <= b for a in found) for b in drawn)
    assert all(drawn.index(items) == int(b.intent) for items, b in zip(found, kept, strict=True))


@given(st.sets(st.text(max_size=3), max_size=40), st.integers(0, 9))
def test_drawn_splits(ids: set[str], seed: int) -> None:
    ratio = splits.parse_ratio("7:1:2")
    shuffled = random.Random(seed).sample(sorted(ids), len(ids))
    drawn = splits.draw(shuffled, ratio, seed)
    assert drawn == splits.draw(ids, ratio, seed)
    assert drawn.keys() == ids
    for split, share in zip(splits.SPLITS, ratio, strict=True):
        assert abs(sum(s == split for s in drawn.values()) - share * len(ids)) <= 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "truncated"),
        ('{"train": ["1"], "dev": ["2"]}', "dev"),
        ('{"train": ["1"], "test": ["2", 1]}', "session '1' is in train already"),
        ('{"train": "1"}', "array"),
    ],
)
def test_bad_split_files(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(KdbError, match=says) as error:
        splits.read_split_file(path)
    assert str(error.value).startswith(f"{path}: ")


def test_split_file_that_names_strangers_warns(shop, tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text('{"train": [9], "test": ["10", "77"]}')
    done = shop(("--split-file", "split.json", "--split", "train"))
    assert [(r["id"], r["split"]) for r in done.records] == [("9", "train")]
    assert "split.json: 1 of its sessions are not in the data, such as '77'" in done.stderr
    assert "1 of other splits" in done.stderr
