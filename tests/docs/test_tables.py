"""Every table of results in a README is what `kdb report` prints of committed records.

The command stands in a comment above the table: `<!-- kdb report RECORDS --table NAME ... -->`.
"""

import re
import shlex
import subprocess
import sys

import pytest
from support.command_line import ROOT, SAMPLES

MARK = re.compile(r"<!-- (kdb report .*?) -->\n+((?:\|.*\n)+)")
READMES = [
    path for path in ROOT.rglob("README.md") if not {".venv", "build", "out"} & set(path.relative_to(ROOT).parts)
]
TABLES = [(path, *found) for path in READMES for found in MARK.findall(path.read_text(encoding="utf-8"))]


def test_there_are_tables() -> None:
    assert len(TABLES) >= 3


@pytest.mark.parametrize(
    ("path", "command", "table"), TABLES, ids=[f"{path.parent.name}-{n}" for n, (path, *_) in enumerate(TABLES)]
)
def test_a_table_is_what_its_command_prints(kdb, path, command: str, table: str) -> None:
    program, *argv = shlex.split(command)
    done = kdb(*argv, "--format", "markdown", cwd=ROOT)
    assert program == "kdb" and done.code == 0, done.stderr
    printed = [found.splitlines() for found in re.findall(r"(?m)(?:^\|.*\n?)+", done.stdout)]
    shown = table.splitlines()
    # Each domain has a table. A README may show one, and leave out rows; what it shows stands in the same order.
    assert shown in [[row for row in found if row in shown] for found in printed if found[:2] == shown[:2]]


def test_the_table_of_speed_is_that_of_its_records() -> None:
    readme = (ROOT / "tests" / "bench" / "README.md").read_text(encoding="utf-8")
    command, shown = re.findall(r"<!-- python (tests/bench/rows.py .*?) -->\n+((?:\|.*\n)+)", readme)[0]
    done = subprocess.run([sys.executable, *shlex.split(command)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert shown == done.stdout


RECORDS = sorted((SAMPLES / "results").glob("*/*/records.jsonl"))


@pytest.mark.parametrize("records", RECORDS, ids=["-".join(path.parts[-3:-1]) for path in RECORDS])
def test_a_committed_report_is_what_its_records_make(kdb, tmp_path, records) -> None:
    """Figures are left out: their bytes depend on the version of Matplotlib."""
    title = records.with_name("report.md").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    done = kdb("report", records, "--title", title, "-o", tmp_path / "r")
    assert done.code == 0, done.stderr
    for name in ("records.jsonl", "report.md", "tables.tex", "tables.csv"):
        assert (tmp_path / "r" / name).read_bytes() == records.with_name(name).read_bytes(), name
    drawn = {file.name for file in (tmp_path / "r" / "figures").glob("*.svg")}
    assert drawn == {file.name for file in (records.parent / "figures").iterdir() if file.suffix == ".svg"} != set()
    assert len(records.with_name("report.html").read_bytes()) < 300_000
