"""The table of intents is what its records make."""

import intents
import msgspec
from support.command_line import SAMPLES

FOLDER = SAMPLES / "results" / "intents"


def test_the_table_is_that_of_the_records() -> None:
    lines = (FOLDER / "cosines.jsonl").read_bytes().splitlines()
    rows = [msgspec.json.decode(line, type=intents.Row) for line in lines]
    assert len({row.way for row in rows}) == 4
    assert intents.table(rows) in (FOLDER / "README.md").read_text(encoding="utf-8")
