"""The sample shop: from its log and catalogue to a table of bundles."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest


def test_generator_reproduces_the_files(samples: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, samples / "make_shop.py", tmp_path], check=True, capture_output=True)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["clicks.csv", "items.csv", "labelled.csv"]
    for name in made:
        assert (tmp_path / name).read_bytes() == (samples / "shop" / name).read_bytes(), name


@pytest.fixture
def sessions(kdb, samples: Path) -> bytes:
    shop = samples / "shop"
    argv = ["--domain", "shop", "--events", "view,cart", "--split-time", "2024-03-20,2024-03-24"]
    done = kdb("import", "--format", "events", shop / "clicks.csv", "--catalogue", shop / "items.csv", *argv)
    assert "1,582 events read" in done.stderr
    assert "959 kept, as the items of 160 sessions of 64 users, 2024-03-01 to 2024-03-30" in done.stderr
    return done.out


def test_searches_need_to_be_left_out(kdb, samples: Path) -> None:
    refused = kdb("import", "--format", "events", samples / "shop" / "clicks.csv")
    assert refused.code == 1 and "item_id: missing" in refused.stderr


def test_people_label_some_and_the_rest_becomes_a_table(
    kdb, samples: Path, tmp_path: Path, sessions: bytes
) -> None:
    (tmp_path / "sessions.jsonl").write_bytes(sessions)
    assert kdb("export", tmp_path / "sessions.jsonl", "--sheet", tmp_path / "sheet.csv").code == 0
    labelled = kdb(
        "import", "--format", "sheet", samples / "shop" / "labelled.csv", "-o", tmp_path / "labelled.jsonl"
    )
    assert "60 sessions, 111 items, 91 bundles" in labelled.stderr
    test = kdb("import", "--format", "jsonl", "--split", "test", stdin=sessions)
    assert len(test.records) == 39
    (tmp_path / "test.jsonl").write_bytes(test.out)
    kb = ["--kb", tmp_path / "labelled.jsonl"]
    predicted = kdb("infer", tmp_path / "test.jsonl", "--baseline", "partition-crf-frozen", *kb)
    users = {s["id"]: (s["user"], s["time"]) for s in test.records}
    assert {p["id"]: (p["user"], p["time"]) for p in predicted.records[1:-1]} == users
    (tmp_path / "predictions.jsonl").write_bytes(predicted.out)
    both = [tmp_path / "predictions.jsonl", tmp_path / "test.jsonl"]
    table = list(csv.DictReader(io.StringIO(kdb("collect", *both, "--min-users", "2", "--format", "csv").stdout)))
    assert table
    for row in table:
        assert int(row["sessions"]) >= int(row["users"]) >= 2
        assert row["titles"].count(" | ") == row["items"].count(";") >= 1
        assert "2024-03-24" <= row["first"] <= row["last"]
