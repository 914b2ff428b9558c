"""What the benches find: rows of one table, printed, and kept as records in $OUT/bench/NAME.jsonl.

python tests/bench/rows.py FILE.jsonl...      prints the table of such records
"""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path


@dataclass
class Row:
    """`what` was measured `against` something else or a limit: how many times as good, and the least to be had."""

    what: str
    against: str
    ratio: float
    goal: float
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        return self.ratio >= self.goal

    def __str__(self) -> str:
        figures = ", ".join(f"{name.replace('_', ' ')} {value:,.4g}" for name, value in self.figures.items())
        verdict = "met" if self.met else "missed"
        return f"| {self.what} | {self.against} | {self.ratio:.2f} | {self.goal:g} ({verdict}) | {figures} |"


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown."""
    return "\n".join(["| what | against | ratio | goal | figures |", "|---|---|---|---|---|", *map(str, rows)])


def conclude(*rows: Row) -> None:
    """Print the rows, write them to the file of the running bench, and exit: 1 where a goal is missed."""
    name = Path(sys.argv[0]).stem
    file = Path(os.environ.get("OUT", "out"), "bench", f"{name}.jsonl")
    file.parent.mkdir(parents=True, exist_ok=True)
    records = ({"kind": "bench", "bench": name, **asdict(row), "met": row.met} for row in rows)
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    print(table(rows))
    sys.exit(not all(row.met for row in rows))


def read(files: Iterable[Path]) -> list[Row]:
    """The rows of files that `conclude` wrote."""
    names = [field.name for field in fields(Row)]
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [Row(**{name: record[name] for name in names}) for record in records]


if __name__ == "__main__":
    print(table(read(map(Path, sys.argv[1:]))))
