"""The tables that a script in `samples/` prints are what it makes of the committed records."""

import gzip

import crossvalidate
import intents
import label_quality
import load
import msgspec
import sweep
from support.command_line import SAMPLES

RESULTS = SAMPLES / "results"


def readme(folder: str) -> str:
    return (RESULTS / folder / "README.md").read_text(encoding="utf-8")


def table_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_intents() -> None:
    lines = (RESULTS / "intents" / "cosines.jsonl").read_bytes().splitlines()
    rows = [msgspec.json.decode(line, type=intents.Row) for line in lines]
    assert len({row.way for row in rows}) == 5
    assert intents.table(rows) in readme("intents")


def test_labels() -> None:
    made = []
    for folder in ("labels", "labels/teacher"):
        rows = msgspec.json.Decoder(label_quality.Row).decode_lines((RESULTS / folder / "rows.jsonl").read_bytes())
        made += table_lines(label_quality.table(rows))
    assert made == table_lines(readme("labels"))


def test_crossvalidation() -> None:
    packed = (RESULTS / "crossvalidation" / "sessions.jsonl.gz").read_bytes()
    rows = msgspec.json.Decoder(crossvalidate.Row).decode_lines(gzip.decompress(packed))
    made, shown = table_lines(crossvalidate.tables(rows)), table_lines(readme("crossvalidation"))
    assert len(made) > 40 and made == shown[-len(made) :]


def test_sweep() -> None:
    for name in ("settings", "sizes"):
        kept = (RESULTS / "crossvalidation" / f"{name}.jsonl").read_bytes()
        assert sweep.table(msgspec.json.Decoder(sweep.Row).decode_lines(kept)) in readme("crossvalidation")


def test_load() -> None:
    rows = msgspec.json.Decoder(load.Row).decode_lines((RESULTS / "speed" / "http.jsonl").read_bytes())
    assert {row.clients for row in rows} == {1, 8, 32}
    assert load.table(rows) in (SAMPLES / "http" / "README.md").read_text(encoding="utf-8")
