"""A value that is missing is missing in whatever form and source: titles, categories, ids."""

import json
from pathlib import Path

import pytest
from support.command_line import run_kdb

from kdb.sources import categories
from kdb.sources.titles import PLACEHOLDERS, clean_title, is_missing

WRITTEN = [
    "",
    "  ",
    "nan",
    "NaN",
    "None",
    "NULL",
    "null",
    "N/A",
    "NA",
    "\\N",
    "unknown",
    "Unknown",
    " nan ",
    "<NA>",
    "#N/A",
    "n.a.",
    "(null)",
    "undefined",
    "Not available",
    "-",
    "?",
    "--",
    "\u200b",
    "{}",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_placeholders_are_no_titles_and_no_categories(text: str) -> None:
    assert is_missing(text)
    assert clean_title(text) == ""
    assert categories.parse(text) == []
    assert categories.parse(json.dumps([["Home", text]])) == [["Home"]]
    assert categories.parse(json.dumps([[text]])) == []


@pytest.mark.parametrize("text", ["Nan Bread Tandoor", "Unknown Pleasures", "N", "0", "none left", "C++", "🎁"])
def test_what_only_looks_like_one_is_a_title(text: str) -> None:
    assert clean_title(text) == text


def test_blank_after_cleaning_is_missing() -> None:
    assert clean_title("&amp;nbsp; ") == "" and all(is_missing(p.upper()) for p in PLACEHOLDERS)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('["Home", "Lamps"]', [["Home", "Lamps"]]),
        ("['Home', 'Lamps']", [["Home", "Lamps"]]),
        ('[["Home", "Lamps"], ["Gifts"]]', [["Home", "Lamps"], ["Gifts"]]),
        ("[['Home', \"Kids' Lamps\"]]", [["Home", "Kids' Lamps"]]),
        ("[[Home,Brittle, Caramel & Toffee],[Gifts]]", [["Home", "Brittle, Caramel & Toffee"], ["Gifts"]]),
        ("Home > Lamps > Desk", [["Home", "Lamps", "Desk"]]),
        ("Home &gt; Lamps", [["Home", "Lamps"]]),
        ("Home > Lamps|Gifts > Light", [["Home", "Lamps"], ["Gifts", "Light"]]),
        ("Home|Lamps", [["Home", "Lamps"]]),
        ("Home &amp; Garden", [["Home & Garden"]]),
        ("[]", []),
    ],
)
def test_categories_in_the_forms_of_shops(text: str, paths: list[list[str]]) -> None:
    assert categories.parse(text) == paths


@pytest.mark.parametrize("gap", ["nan", "None", "N/A", "unknown"])
def test_a_placeholder_is_refused_as_an_empty_title_is(kdb, tmp_path: Path, gap: str) -> None:
    items = [{"id": "a", "title": "Lamp"}, {"id": "b", "title": gap}, {"id": "c", "title": "Pot"}]
    line = json.dumps({"kind": "session", "id": "1", "domain": "d", "items": items})
    refused = kdb("import", "--format", "jsonl", stdin=line)
    assert (refused.code, refused.out) == (1, b"")
    assert f"stdin:1: items[1].title: '{gap}'" in refused.stderr
    [dropped] = kdb("import", "--format", "jsonl", "--untitled", "drop", stdin=line).records
    assert [item["id"] for item in dropped["items"]] == ["a", "c"]
    assert dropped["imported"] == {"untitled": "drop"}
    (tmp_path / "more.csv").write_text("item ID,titles\nb,Bulb\na,Other\n")
    [filled] = kdb("import", "--format", "jsonl", "--titles", tmp_path / "more.csv", stdin=line).records
    assert [item["title"] for item in filled["items"]] == ["Lamp", "Bulb", "Pot"]
    assert filled["imported"] == {"titles": "more.csv"}


def test_a_placeholder_category_of_a_record_is_left_out(kdb) -> None:
    items = [{"id": "a", "title": "Lamp", "category": [["Home", "nan"], ["unknown"]], "price": 1}]
    line = json.dumps({"kind": "session", "id": "1", "domain": "d", "items": items})
    [record] = kdb("import", "--format", "jsonl", stdin=line).records
    assert record["items"] == [{"id": "a", "title": "Lamp", "category": [["Home"]], "price": 1}]


SHOP = {
    "session_item": "session ID,item ID\n1,a\n1,b\n1,x\n9,x\n9,y\n9,b\n",
    "session_bundle": "session ID,bundle ID\n1,B1\n9,B9\n",
    "bundle_item": "bundle ID,item ID\nB1,a\nB1,b\nB9,x\nB9,y\n",
    "bundle_intent": "bundle ID,intent\nB1,tea\nB9,camping\n",
    "item_titles": "item ID,titles\na,Pot\nb,Cup\nx,Stove\ny,Gas\n",
    "item_categories": (
        'item ID,categories\na,"[[Home,Pots]]"\nb,"[[Home,Cups]]"\nx,"[[Out,Stoves]]"\ny,"[[Out,Gas]]"\n'
    ),
}


def write_shop(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, content in (SHOP | files).items():
        (folder / f"{name}.csv").write_text(content)
    (folder / "split.json").write_text('{"train": ["1"], "validation": [], "test": ["9"]}')
    return folder


def test_a_category_that_a_test_bundle_makes_known_stays_out_of_training(kdb, tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop")
    done = kdb("import", shop, "--split-file", shop / "split.json")
    known = {s["id"]: {item["id"] for item in s["items"] if "category" in item} for s in done.records}
    assert known == {"1": {"a", "b"}, "9": {"x", "y", "b"}}
    assert "1 items have a category only by bundles of other splits" in done.stderr
    whole = kdb("import", shop).records
    assert all("category" in item for s in whole for item in s["items"])


def test_categories_of_items_in_no_bundle_say_that_nothing_leaks(kdb, tmp_path: Path) -> None:
    more = {"session_item": SHOP["session_item"] + "1,z\n", "item_titles": SHOP["item_titles"] + "z,Rope\n"}
    shop = write_shop(tmp_path / "shop", **more, item_categories=SHOP["item_categories"] + 'z,"[[Out,Ropes]]"\n')
    records = kdb("import", shop, "--split-file", shop / "split.json").records
    assert all("category" in item for s in records for item in s["items"])


def test_a_dictionary_is_no_category() -> None:
    with pytest.raises(ValueError, match="expected a JSON or Python list"):
        categories.parse("{'id': 7}")


@pytest.mark.parametrize("intent", ["nan", " None", "-"])
def test_placeholders_are_no_intents(intent: str, tmp_path: Path) -> None:
    session = {
        "kind": "session",
        "id": "s",
        "domain": "shop",
        "items": [{"id": "a", "title": "Pot"}, {"id": "b", "title": "Cup"}],
        "bundles": [{"items": ["a", "b"], "intent": intent}],
    }
    tables = {
        "session_item": "session ID,item ID\n1,a\n1,b\n",
        "session_bundle": "session ID,bundle ID\n1,B\n",
        "bundle_item": "bundle ID,item ID\nB,a\nB,b\n",
        "bundle_intent": f"bundle ID,intent\nB,{intent}\n",
        "item_titles": "item ID,titles\na,Pot\nb,Cup\n",
        "item_categories": "item ID,categories\n",
    }
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text)
    for done in (
        run_kdb("import", "--format", "jsonl", stdin=json.dumps(session)),
        run_kdb("import", tmp_path),
    ):
        assert (done.code, done.records[0]["bundles"]) == (0, [{"items": ["a", "b"], "intent": ""}]), done.stderr
