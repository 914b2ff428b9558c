"""A sheet for people: sessions go out, come back as they were, and with what was filled in."""

import csv
import io
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.io.stream import Rejects
from kdb.records import Bundle, Item, Session
from kdb.sources.config import ImportConfig
from kdb.sources.sheet import read, sheet_rows
from kdb.sources.titles import is_missing

HEADER = "session,item,title,bundle,intent\n"


def test_sessions_come_back(kdb, samples: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    assert kdb("export", samples / "sessions.jsonl", "--sheet", sheet).code == 0
    back = kdb("import", "--format", "sheet", sheet)
    before = [msgspec.json.decode(line) for line in (samples / "sessions.jsonl").open("rb")]
    assert [comparable(s) for s in back.records] == [comparable(s) for s in before]
    assert kdb("export", samples / "sessions.jsonl", "--sheet", sheet).code == 2


def comparable(session: dict) -> dict:
    """Without how it was imported; the order of the items of a bundle is that of the session."""
    order = [item["id"] for item in session["items"]]
    bundles = [bundle | {"items": sorted(bundle["items"], key=order.index)} for bundle in session["bundles"]]
    return session | {"bundles": bundles, "imported": None, "v": None}


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).map(str.strip)
titles = texts.filter(lambda text: not is_missing(text))


@given(st.lists(titles, min_size=2, max_size=5), st.lists(st.sets(st.integers(0, 4), min_size=2), max_size=3))
def test_any_text_comes_back(tmp_path_factory, names: list[str], groups: list[set[int]]) -> None:
    items = [Item(str(n), name, [[name, "a > b"]]) for n, name in enumerate(names)]
    groups = [g for g in groups if max(g) < len(items)]
    bundles = [Bundle([str(n) for n in sorted(g)], "intent") for g in groups]
    session = Session(id="s", domain="d", items=items, bundles=bundles or msgspec.UNSET, user="u", time=5)
    path = tmp_path_factory.mktemp("sheet") / "sheet.csv"
    path.write_bytes(b"\n".join(sheet_rows([session])))
    [back] = read([path], ImportConfig(empty="keep", truth="raw"), Rejects())
    assert [(i.id, i.title) for i in back.items] == [(i.id, i.title) for i in items]
    assert [b.items for b in back.truth or []] == [b.items for b in bundles]
    assert (back.user, back.time) == ("u", 5)


@pytest.mark.parametrize("title", ["Lamp\nred", 'a "big"\r\none, 2 l', "a\rb"])
def test_a_title_of_several_lines_comes_back(tmp_path: Path, title: str) -> None:
    items = [Item("1", title), Item("2", "Bulb")]
    session = Session(id="s", domain="d", items=items, bundles=[Bundle(["1", "2"])])
    path = tmp_path / "sheet.csv"
    path.write_bytes(b"\n".join(sheet_rows([session])))
    [back] = read([path], ImportConfig(), Rejects())
    assert [item.title for item in back.items] == [title, "Bulb"]


def test_what_people_fill_in(kdb, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    rows = [("1", "a", "Lamp", "x", ""), ("1", "b", "Bulb", "x", "light the desk"), ("1", "c", "Pot", "", ""),
            ("1", "b", "Bulb", "y", "nan"), ("1", "c", "Pot", "y", "grow"), ("2", "a", "Lamp", "", "")]  # fmt: skip
    rows[2] = ("1", "d", "Tray", "", "")
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows([HEADER.strip().split(","), *rows])
    sheet.write_text("\ufeff" + out.getvalue() + ";;;;\n")
    done = kdb("import", "--format", "sheet", sheet, "--domain", "shop")
    [session] = done.records
    assert (session["domain"], [item["id"] for item in session["items"]]) == ("shop", ["a", "b", "d", "c"])
    assert session["bundles"] == [
        {"items": ["a", "b"], "intent": "light the desk"},
        {"items": ["b", "c"], "intent": "grow"},
    ]
    assert "1 without bundles" in done.stderr
    assert len(kdb("import", "--format", "sheet", sheet, "--empty", "keep").records) == 2


def test_a_sheet_knows_its_splits(kdb, tmp_path: Path) -> None:
    rows = "1,a,Lamp,x,,train\n1,b,Bulb,x,,train\n2,a,Lamp,x,,test\n2,b,Bulb,x,,test\n"
    (tmp_path / "sheet.csv").write_text(HEADER.strip() + ",split\n" + rows)
    found = kdb("import", "--format", "sheet", "sheet.csv", "--split", "test", cwd=tmp_path)
    assert [session["id"] for session in found.records] == ["2"], found.stderr


def test_titles_come_from_elsewhere(kdb, tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text(HEADER + "1,a,Lamp,x,\n1,b,,x,\n")
    (tmp_path / "titles.csv").write_text("item ID,titles\na,Other\nb,Bulb\n")
    [session] = kdb("import", "--format", "sheet", "sheet.csv", "--titles", "titles.csv", cwd=tmp_path).records
    assert [item["title"] for item in session["items"]] == ["Lamp", "Bulb"]
    assert (session["imported"]["titles"], session["imported"]["untitled"]) == ("titles.csv", "none")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("1,a,Lamp,x,\n1,b,Bulb,,\n", "sheet.csv:2: bundle 'x': fewer than two items"),
        ("1,a,Lamp,x,\n1,a,Lamp,x,\n", "sheet.csv:3: item 'a' stands twice in session '1' in the same bundle"),
        ("1,a,Lamp,x,\n1,a,Bulb,y,\n", "sheet.csv:3: title: item 'a' has another one already, 'Lamp'"),
        ("1,a,Lamp,x,one\n1,b,Bulb,x,two\n", "sheet.csv:3: intent: bundle 'x' has another one already, 'one'"),
        ("1,,Lamp,x,\n", "sheet.csv:2: item: missing"),
        ("1,a,Lamp\n", "sheet.csv:2: 3 fields where the header has 5"),
        ('1,a,"Lamp,x,\n', "sheet.csv:2: a quote is not closed"),
        ("1,a,nan,x,\n1,b,Bulb,x,\n", "1 items in 1 of 1 sessions have no title"),
    ],
)
def test_a_contradiction_is_named(kdb, tmp_path: Path, rows: str, says: str) -> None:
    (tmp_path / "sheet.csv").write_text(HEADER + rows)
    refused = kdb("import", "--format", "sheet", "sheet.csv", cwd=tmp_path)
    assert (refused.code, refused.out) == (1, b"")
    assert says in refused.stderr


def test_a_sheet_without_a_column(kdb, tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("session,item,title\n1,a,Lamp\n")
    refused = kdb("import", "--format", "sheet", "sheet.csv", cwd=tmp_path)
    assert "sheet.csv:1: no column 'bundle'" in refused.stderr
