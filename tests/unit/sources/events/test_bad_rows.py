"""Rows that are no events: named by file and line, or put aside and counted, so that the counts add up."""

import contextlib
import gzip
import io
import json
import re
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdb.io.stream import Rejects
from kdb.sources.config import EventConfig, ImportConfig
from kdb.sources.events.source import read

CATALOGUE = "item,title\na,A\nb,B\nc,C\n100,Hundred\n"
GOOD = "user,item,time,event\nu,a,100,view\nu,b,160,view\n"


@pytest.fixture
def imported(kdb, tmp_path: Path):
    (tmp_path / "items.csv").write_text(CATALOGUE)

    def run(log: str | bytes, *argv: str, **other: str):
        (tmp_path / "log.csv").write_bytes(log if isinstance(log, bytes) else log.encode())
        for name, text in other.items():
            (tmp_path / f"{name}.csv").write_text(text)
        return kdb("import", "--format", "events", "log.csv", "--catalogue", "items.csv", *argv, cwd=tmp_path)

    return run


FAULTS = {
    "no user": (",a,170,view\n", "log.csv:4: user: missing"),
    "null user": ("NULL,a,170,view\n", "log.csv:4: user: missing"),
    "no item": ("u, ,170,view\n", "log.csv:4: item: missing"),
    "no time": ("u,c,,view\n", "log.csv:4: time: missing"),
    "time in words": ("u,c,soon,view\n", "log.csv:4: time: not a time"),
    "time below zero": ("u,c,-5,view\n", "log.csv:4: time: not a time"),
    "time without end": ("u,c,1e300,view\n", "log.csv:4: time: not a time"),
    "header again": ("user,item,time,event\n", "log.csv:4: the header again"),
    "other separator": ("u;c;170;view\n", "log.csv:4: item: missing (1 fields where the header has 4)"),
    "too many fields": ("u,c,170,view,x,y\n", "log.csv:4: more fields than the header (6 fields"),
    "open quote": ('u,"c,170,view\n', "log.csv:4: a quote is not closed"),
    "text after a quote": ('u,"c"d,170,view\n', "log.csv:4: not CSV"),
    "not UTF-8": (b"u\xff,c,170,view\n", "log.csv:4: not valid UTF-8"),
    "field of 10 MB": (f"u,{'x' * 10_000_000},170,view\n", "log.csv:4: item: a line break in it, or too long"),
    "lines in a field": ('u,"c\nd",170,view\n', "log.csv:4: item: a line break in it, or too long"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_faulty_row_is_named_or_put_aside(imported, tmp_path: Path, case: str) -> None:
    row, says = FAULTS[case]
    row = row if isinstance(row, bytes) else row.encode()
    log = GOOD.encode() + row + b"u,c,200,view\n"
    refused = imported(log)
    assert (refused.code, refused.out) == (1, b"")
    assert f"kdb: {says}" in refused.stderr.splitlines()[-1]
    done = imported(log, "--rejects", "rejects.jsonl")
    assert done.code == 1
    assert [[item["id"] for item in s["items"]] for s in done.records] == [["a", "b", "c"]]
    assert "4 events read" in done.stderr and "3 kept" in done.stderr
    [reject] = [json.loads(line) for line in (tmp_path / "rejects.jsonl").open()]
    assert f"{reject['place']}: {reject['error']}".startswith(says)
    assert reject["line"].encode() == row.rstrip(b"\n").replace(b"\xff", "\ufffd".encode())


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("not json", "not a JSON object"),
        ("[1, 2]", "not a JSON object"),
        ('{"user": "u", "item": "a"', "not a JSON object"),
        ('{"user": null, "item": "a", "time": 5}', "user: missing"),
        ('{"item": "a", "time": 5}', "user: missing"),
    ],
)
def test_faulty_json_lines(imported, row: str, says: str) -> None:
    good = '{"user": "u", "item": "%s", "time": %d}\n'
    log = good % ("a", 1) + "\n" + row + "\n" + good % ("b", 2)
    assert f"kdb: log.csv:3: {says}" in imported(log).stderr
    done = imported(log, "--rejects", "rejects.jsonl")
    assert [item["id"] for item in done.records[0]["items"]] == ["a", "b"]
    assert "3 events read" in done.stderr and "2 kept" in done.stderr


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("", "no event in it"),
        ("user,item,time\n", "no event in it"),
        ("\n\nuser,item,time\nu,a,1\n", "log.csv:1: blank, expected a header"),
        (GOOD.encode("utf-16"), "log.csv:1: UTF-16, expected UTF-8 (iconv"),
        (GOOD.encode("utf-16-be"), "log.csv:1: UTF-16, expected UTF-8 (iconv -f UTF-16BE"),
        (b"\x00\x01\x02\x03", "neither text nor Parquet"),
        (b"PAR1 but not really", "not a Parquet file"),
        (gzip.compress(GOOD.encode(), mtime=0)[:40], "not a whole gzip file"),
        (
            gzip.compress((GOOD + "u,c,9,view\n" * 99_999).encode(), mtime=0)[:-99],
            "log.csv: unexpected end of file",
        ),
        (
            "user,item,when\nu,a,1\n",
            "log.csv:1: no column for the time (--columns time=NAME; it has user, item, when)",
        ),
        ("item,time\na,1\n", "log.csv:1: no column for the user"),
        (
            "Kunde;Artikel;Zeit\na;b;1\n",
            "no column for the item, the time, the user (--columns item=NAME,time=NAME,user=NAME; it has Kunde",
        ),
        ("user,item,time,item\nu,a,1,b\n", "two columns are named 'item'"),
        ('[{"user": 1}]', "a JSON array"),
    ],
)
def test_a_file_that_is_no_log_is_one_line(imported, log: str | bytes, says: str) -> None:
    refused = imported(log)
    assert (refused.code, refused.out) == (1, b"")
    assert says in refused.stderr.splitlines()[-1]


def test_ids_that_are_numbers_are_the_same_with_and_without_a_point(imported) -> None:
    log = "user,item,time\n7,100.0,1\n7.0,a,2\n7,100,3\n"
    [session] = imported(log).records
    assert (session["user"], [item["id"] for item in session["items"]]) == ("7", ["100", "a"])


def test_blanks_around_names_and_values(imported) -> None:
    [session] = imported("user, item, time\nu, a, 1\n u ,b , 2\n").records
    assert (session["id"], [item["id"] for item in session["items"]]) == ("u@1", ["a", "b"])


def test_a_named_column_must_be_there(imported) -> None:
    assert "items.csv:1: no column for the title" in imported(GOOD, "--columns", "title=missing").stderr
    for role in ("user", "item", "time", "session", "event", "category"):
        refused = imported(GOOD, "--columns", f"{role}=missing")
        assert refused.code == 1
        assert f"no column 'missing' for the {role}" in refused.stderr.splitlines()[-1]


def test_a_clock_that_goes_back_is_sorted_and_said(imported) -> None:
    done = imported("user,item,time\nu,b,200\nu,a,100\nu,c,150\n")
    assert [item["id"] for item in done.records[0]["items"]] == ["a", "c", "b"]
    assert "1 stand before an earlier one" in done.stderr


def test_a_bot_is_dropped_and_counted(imported) -> None:
    items = "item,title\n" + "".join(f"i{n},Item {n}\n" for n in range(60))
    bot = "".join(f"bot,i{n % 60},{n},view\n" for n in range(5000))
    done = imported("user,item,time,event\nu,i1,1,view\nu,i2,2,view\n" + bot, items=items)
    assert [s["user"] for s in done.records] == ["u"]
    assert "60 dropped: in sessions of more than 20 items" in done.stderr
    assert "4,940 dropped: of an item again in its session" in done.stderr


def test_events_gap_and_limits(imported) -> None:
    log = GOOD + "u,c,170,cart\nu,a,4000,view\nu,b,4000,view\nv,a,1,view\n"
    argv = ["--events", "view", "--gap", "1h"]
    done = imported(log, *argv)
    assert [s["id"] for s in done.records] == ["u@100", "u@4000"]
    assert "1 dropped: of other events than view" in done.stderr
    assert "1 dropped: in sessions of fewer than 2 items" in done.stderr
    assert [s["id"] for s in imported(log, "--gap", "2h").records] == ["u@100"]
    assert "no column for the event" in imported("user,item,time\nu,a,1\n", "--events", "view").stderr


def test_an_item_with_two_titles(imported, tmp_path: Path) -> None:
    twice = "item,title\na,A\nb,nan\na,A\nb,B\na,Other\n"
    assert "items.csv:6: title: item 'a' has another one already, 'A'" in imported(GOOD, items=twice).stderr
    done = imported(GOOD, "--rejects", "rejects.jsonl", items=twice)
    assert [item["title"] for item in done.records[0]["items"]] == ["A", "B"]
    assert json.loads((tmp_path / "rejects.jsonl").read_text())["line"] == "a,Other"


def test_titles_with_inches_are_read(imported) -> None:
    items = 'item,title\na,Nail 5"\nb,"Board, 2"" x 4"""\n'
    done = imported(GOOD, items=items)
    assert [item["title"] for item in done.records[0]["items"]] == ['Nail 5"', 'Board, 2" x 4"']


def test_a_broken_category_is_named(imported) -> None:
    items = "item,title,category\na,A,\"[['Home', 3]]\"\nb,B,x\n"
    assert "items.csv:2: category: expected a JSON or Python list" in imported(GOOD, items=items).stderr


USERS, ITEMS = ["u", "v", "", "null", 'w"'], ["a", "b", "c", "z", "", "a\\"]
TIMES = ["1", "2000", "900000", "x", "", "1e3", "2024-01-01"]
rows = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(USERS), st.sampled_from(ITEMS), st.sampled_from(TIMES)).map(",".join),
        st.sampled_from(["", ",,", "u,a,1,2", "u;a;1", "user,item,time", 'u,"a,1', "u", "u,\x00,1"]),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(rows, st.sampled_from(["drop", "keep"]))
def test_events_read_are_those_kept_and_those_dropped(drawn: list[str], untitled) -> None:
    with tempfile.TemporaryDirectory() as name:
        log, items, aside = (Path(name) / part for part in ("log.csv", "items.csv", "rejects.jsonl"))
        log.write_text("user,item,time\nu,a,5\nu,b,6\n" + "".join(f"{row}\n" for row in drawn))
        items.write_text(CATALOGUE)
        rejects, said = Rejects(aside), io.StringIO()
        config = ImportConfig(untitled=untitled, log=EventConfig([items], max_items=3))
        with contextlib.redirect_stderr(said):
            lines = [line for block in read([log], config, rejects) for line in block.splitlines()]
        sessions = [msgspec.json.decode(line) for line in lines]
        put_aside = aside.read_text().splitlines() if rejects.count else []
    [total] = counts(r"([\d,]+) events read", said)
    dropped, faulty = counts(r"([\d,]+) dropped: ", said), counts(r"([\d,]+) dropped: .*put aside", said)
    [kept] = counts(r"([\d,]+) kept", said)
    assert total == kept + sum(dropped)
    more_lines = sum(json.loads(line)["line"].count("\n") for line in put_aside)  # of rows with a quoted line break
    assert total + more_lines == 2 + len(drawn)
    assert kept == sum(len(s["items"]) for s in sessions)
    assert sum(faulty) == rejects.count == len(put_aside)
    places = [json.loads(line)["place"] for line in put_aside]
    assert len(set(places)) == len(places)


def counts(pattern: str, said: io.StringIO) -> list[int]:
    return [int(found.replace(",", "")) for found in re.findall(pattern, said.getvalue())]
