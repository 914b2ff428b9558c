"""Public layouts, reconstructed small: RecBole, YooChoose, Diginetica, Amazon; and every form of a file."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

DATA = Path(__file__).parents[3] / "data"


def items(session: dict) -> list[str]:
    return [item["id"] for item in session["items"]]


def test_recbole(kdb) -> None:
    folder = DATA / "recbole"
    done = kdb("import", "--format", "events", folder / "ml-100k.inter", "--catalogue", folder / "ml-100k.item",
               "--columns", "recbole")  # fmt: skip
    assert [(s["id"], s["user"], items(s)) for s in done.records] == [
        ("196@881250949", "196", ["242", "302"]),
        ("22@878887116", "22", ["377", "51"]),
        ("244@880606923", "244", ["51", "302"]),
    ]
    assert done.records[0]["items"][1]["title"] == 'L.A. "Confidential"'
    assert done.records[0]["items"][1]["category"] == [["Crime"], ["Film-Noir"], ["Mystery"]]
    assert "user=user_id:token" in done.stderr and "times are Unix seconds" in done.stderr


def test_yoochoose_has_no_header_and_no_titles(kdb) -> None:
    argv = ["import", "--format", "events", "--columns", "yoochoose"]
    refused = kdb(*argv, DATA / "yoochoose" / "yoochoose-clicks.dat")
    assert refused.code == 1 and "7 of 7 items of the log have no title" in refused.stderr
    done = kdb(*argv, DATA / "yoochoose", "--untitled", "keep")
    assert [(s["id"], items(s)) for s in done.records] == [
        ("1", ["214536502", "214536500", "214536506", "214577561"]),
        ("2", ["214662742", "214825110"]),
    ]
    assert done.records[0]["time"] == 1396867869
    assert "user" not in done.records[0]
    assert done.records[0]["imported"]["untitled_sessions"] == 2


def test_diginetica_orders_by_milliseconds_within_the_day(kdb) -> None:
    folder = DATA / "diginetica"
    catalogue = ["--catalogue", folder / "products.csv", "--catalogue", folder / "product-categories.csv"]
    done = kdb(
        "import", "--format", "events", "--columns", "diginetica", folder / "train-item-views.csv", *catalogue
    )
    assert [(s["id"], s.get("user"), items(s)) for s in done.records] == [
        ("1", None, ["32118", "81766", "31331"]),
        ("2", "17", ["36910", "32118"]),
    ]
    assert done.records[0]["items"][0] == {"id": "32118", "title": "8,9,10", "category": [["7"]]}
    assert done.records[0]["time"] == 1462752243


@pytest.mark.parametrize(
    ("reviews", "meta", "title", "category"),
    [
        (
            "reviews.jsonl",
            "meta.jsonl",
            'Clamp Lamp, 12" & Shade',
            "Tools & Home Improvement/Lighting/Clamp Lamps",
        ),
        ("reviews-2018.json", "meta-2018.json", "USB Cable", "Electronics/Cables"),
    ],
)
def test_amazon(kdb, reviews: str, meta: str, title: str, category: str) -> None:
    folder = DATA / "amazon"
    argv = ["--columns", "amazon", "--gap", "1d", "--catalogue", folder / meta]
    [session] = kdb("import", "--format", "events", folder / reviews, *argv).records
    assert (session["items"][0]["title"], session["items"][0]["category"]) == (title, [category.split("/")])
    assert "category" not in session["items"][1]


ROWS = [("u1", "a", 100, "view"), ("u1", "b", 160, "cart"), ("u2", "b", 50, "view"), ("u2", "c", 90, "view")]
CSV = "user,item,time,event\n" + "".join(f"{u},{i},{t},{e}\n" for u, i, t, e in ROWS)


def write(path: Path, form: str) -> Path:
    frame = pl.DataFrame(ROWS, ["user", "item", "time", "event"], orient="row")
    text = {
        "csv": CSV,
        "bom": "\ufeff" + CSV,
        "crlf": CSV.replace("\n", "\r\n"),
        "tsv": CSV.replace(",", "\t"),
        "semicolon": CSV.replace(",", ";"),
        "quoted": frame.write_csv(quote_style="always"),
        "jsonl": frame.write_ndjson(),
        "no newline": CSV.rstrip("\n"),
    }
    if form == "parquet":
        frame.write_parquet(path)
    elif form == "parquet times":
        frame.with_columns(pl.from_epoch("time", "s").dt.replace_time_zone("Europe/Paris")).with_columns(
            pl.col("time").dt.offset_by("1h")
        ).write_parquet(path)
    elif form.startswith("gz "):
        path.write_bytes(gzip.compress(text[form[3:]].encode()))
    else:
        path.write_bytes(text[form].encode())
    return path


FORMS = ["csv", "bom", "crlf", "tsv", "semicolon", "quoted", "jsonl", "no newline", "parquet", "parquet times",
         "gz csv", "gz jsonl"]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_log(kdb, tmp_path: Path, form: str) -> None:
    catalogue = tmp_path / "items.csv"
    catalogue.write_text("item,title\na,A\nb,B\nc,C\n")
    done = kdb("import", "--format", "events", write(tmp_path / "log", form), "--catalogue", catalogue)
    assert [(s["id"], items(s), s["time"]) for s in done.records] == [
        ("u1@100", ["a", "b"], 100),
        ("u2@50", ["b", "c"], 50),
    ]
    assert "4 events read" in done.stderr


def test_a_folder_of_parts_stdin_and_columns_by_number(kdb, tmp_path: Path) -> None:
    catalogue = tmp_path / "items.jsonl"
    catalogue.write_text("".join(json.dumps({"id": i, "name": i.upper()}) + "\n" for i in "abc"))
    (tmp_path / "log").mkdir()
    lines = CSV.splitlines(keepends=True)[1:]
    (tmp_path / "log" / "part-1.csv").write_text("".join(lines[2:]))
    (tmp_path / "log" / "part-0.csv").write_text("".join(lines[:2]))
    (tmp_path / "log" / "_SUCCESS").write_text("")
    argv = ["--catalogue", catalogue, "--columns", "user=1,item=2,time=3,product=id"]
    whole = kdb("import", "--format", "events", tmp_path / "log", *argv, "--domain", "log")
    assert [items(s) for s in whole.records] == [["a", "b"], ["b", "c"]]
    piped = kdb("import", "--format", "events", "-", *argv, "--domain", "log", stdin="".join(lines))
    assert [s | {"imported": 0} for s in piped.records] == [s | {"imported": 0} for s in whole.records]


def test_titles_of_the_log_itself_only_where_named(kdb, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,time,name\nu,a,1,nan\nu,b,2,Bulb\nu,a,3,Lamp &amp;amp; Co\n")
    refused = kdb("import", "--format", "events", tmp_path / "log.csv")
    assert refused.code == 1 and "2 of 2 items" in refused.stderr
    [session] = kdb("import", "--format", "events", tmp_path / "log.csv", "--columns", "title=name").records
    assert [item["title"] for item in session["items"]] == ["Lamp & Co", "Bulb"]
