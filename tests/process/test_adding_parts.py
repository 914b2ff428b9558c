"""A part is a file and a line in a registry: then the help names it, and a run uses it."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.command_line import ROOT, SAMPLES

PARTS = """
from dataclasses import dataclass

from kdb.extraction.format import Format, written
from kdb.io.stream import Line, read
from kdb.predictors.baseline import Baseline, item_ids
from kdb.records import Bundle, Item, Knowledge, Session, Source
from kdb.selection.strategy import Strategy


class LastId(Strategy):
    def order(self, records):
        return sorted(range(len(records)), key=lambda n: records[n].id, reverse=True)


class FirstTwo(Baseline):
    embeds = False

    @classmethod
    def fit(cls, base, config):
        return cls()

    def bundles(self, session):
        return [Bundle(item_ids(session)[:2])]


def read_words(paths, config, bad):
    for path in paths:
        for n, line in enumerate(path.read_text().splitlines()):
            items = [Item(str(k), word) for k, word in enumerate(line.split())]
            yield Session(id=str(n), domain=config.domain or "words", items=items)
"""
LINES = {
    "strategy": 'import kdb.selection as s; s.STRATEGIES["last-id"] = "parts:LastId"',
    "baseline": 'import kdb.predictors as p; p.PREDICTORS["first-two"] = "parts:FirstTwo"',
    "source": 'import kdb.sources as s; s.SOURCES["words"] = "parts:read_words"',
}


@pytest.fixture
def run(tmp_path: Path):
    """Runs kdb with one more line in one registry."""
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "in.jsonl").write_bytes((SAMPLES / "sessions.jsonl").read_bytes())
    (tmp_path / "words.txt").write_text("kettle cups tea\nrope tent\n")

    def call(part: str, *argv: str) -> subprocess.CompletedProcess[str]:
        code = f"{LINES[part]}; from kdb.cli.main import main; main()"
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "COLUMNS": "120"}
        command = [sys.executable, "-c", code, *argv]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    return call


NAMES = [("strategy", "last-id", "select"), ("baseline", "first-two", "infer"), ("source", "words", "import")]


@pytest.mark.parametrize(("part", "name", "command"), NAMES)
def test_the_help_names_it(run, part: str, name: str, command: str) -> None:
    assert name in "".join(run(part, command, "--help").stdout.split())


def records(done: subprocess.CompletedProcess[str]) -> list[dict]:
    assert done.returncode == 0, done.stderr
    return [msgspec.json.decode(line) for line in done.stdout.splitlines()]


def test_a_run_uses_it(run) -> None:
    sessions = [msgspec.json.decode(line) for line in (SAMPLES / "sessions.jsonl").read_bytes().splitlines()]
    chosen = records(run("strategy", "select", "in.jsonl", "--strategy", "last-id", "--amount", "2"))
    first = [r["id"] for r in chosen if r.get("selected", {}).get("rank") == 1]
    assert first == [max(session["id"] for session in sessions if session["split"] == "train")]

    found = records(run("baseline", "infer", "in.jsonl", "--baseline", "first-two"))
    predicted = [record for record in found if record["kind"] == "prediction"]
    assert len(predicted) == len(sessions)
    assert all([bundle["items"] for bundle in r["bundles"]] == [r["items"][:2]] for r in predicted)

    imported = records(run("source", "import", "words.txt", "--format", "words", "--domain", "shop"))
    titles = [[item["title"] for item in record["items"]] for record in imported]
    assert titles == [["kettle", "cups", "tea"], ["rope", "tent"]]
