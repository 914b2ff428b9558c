"""The parts that `kdb/README.md` adds: each is one file and one line, and is found in the help and in a run.

All of them are put into one copy of the package, in which one process runs all commands.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.command_line import ROOT, SAMPLES

README = (ROOT / "kdb" / "README.md").read_text(encoding="utf-8")
REGISTRIES = dict(re.findall(r"^\|[^|]+\| `(\w+)` in `(\S+)` \|", README, re.MULTILINE))
PARTS = re.findall(r"^`(\w+)`: `([^\n]+)`\n\n```python\n# (\S+)\n(.*?)```", README, re.DOTALL | re.MULTILINE)

HELP = {
    "METRICS": ("eval", "empty"),
    "PREDICTORS": ("infer", "first-two"),
    "STRATEGIES": ("select", "last-id"),
    "SHOWN_AS": ("extract", "count"),
    "ANSWERS": ("train", "one-pair"),
    "BACKENDS": ("extract label", "first-words"),
    "SOURCES": ("import", "words"),
    "RETRIEVERS": ("infer", "first"),
    "EMBEDDERS": ("select", "letters"),
}
"""Where the part of each registry is named."""
RUNS = {
    "predicted": "infer asked.jsonl --baseline first-two -o predicted.jsonl",
    "METRICS": "eval predicted.jsonl --format records",
    "PREDICTORS": "infer asked.jsonl --baseline first-two",
    "STRATEGIES": "select kb --strategy last-id --amount 2",
    "SHOWN_AS": "extract count kb",
    "ANSWERS": "infer asked.jsonl --student TINY --answer one-pair",
    "BACKENDS": "extract label kb --sessions 2 --samples 1 --demos 0 --teacher first-words --cache cache",
    "SOURCES": "import words.txt --format words",
    "RETRIEVERS": "infer asked.jsonl --student TINY --answer one-pair --kb kb --demos 2 --set retrieval=first",
    "EMBEDDERS": "infer asked.jsonl --baseline clusters --kb kb --set embedder=letters",
}
MAIN = """
import json, sys
from support.command_line import run_kdb
for line in sys.stdin:
    done = run_kdb(*line.split())
    print(json.dumps([done.code, done.stdout, done.stderr]))
"""


def sample(split: str) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (SAMPLES / "sessions.jsonl").read_text(encoding="utf-8").splitlines()]
    return [record for record in records if record["split"] == split]


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str

    def records(self, kind: str) -> list[dict[str, Any]]:
        assert self.code == 0, self.stderr
        return [record for line in self.stdout.splitlines() if (record := json.loads(line))["kind"] == kind]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_student: Path) -> dict[str, Done]:
    """What each command gives, with the parts of the README."""
    folder = tmp_path_factory.mktemp("parts")
    shutil.copytree(ROOT / "kdb", folder / "kdb", ignore=shutil.ignore_patterns("__pycache__"))
    for registry, line, path, code in PARTS:
        (folder / path).write_text(code, encoding="utf-8")
        file = folder / REGISTRIES[registry]
        text, count = re.subn(rf"(?m)^({registry}\b.* = {{)$", rf"\1\n    {line}", file.read_text(encoding="utf-8"))
        assert count == 1, registry
        file.write_text(text, encoding="utf-8")
    (folder / "words.txt").write_text("kettle cups tea\nrope tent\n")
    (folder / "kb").write_text("".join(f"{json.dumps(one)}\n" for one in sample("train")))
    (folder / "asked.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in sample("test")[:2]))
    commands = {f"{name} --help": f"{command} --help" for name, (command, _) in HELP.items()}
    commands |= {name: line.replace("TINY", str(tiny_student)) for name, line in RUNS.items()}
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}/tests", "COLUMNS": "120"}
    process = subprocess.run(
        [sys.executable, "-c", MAIN],
        cwd=folder,
        env=environment,
        input="\n".join(commands.values()),
        check=True,
        capture_output=True,
        text=True,
    )
    results = [Done(*json.loads(line)) for line in process.stdout.splitlines()]
    return dict(zip(commands, results, strict=True))


def test_the_readme_adds_one_part_of_each_kind() -> None:
    assert [registry for registry, *_ in PARTS] == list(REGISTRIES) == list(HELP)


@pytest.mark.parametrize("registry", HELP)
def test_the_help_names_it(done: dict[str, Done], registry: str) -> None:
    shown = done[f"{registry} --help"]
    assert shown.code == 0
    assert re.search(rf"(?<![\w-]){HELP[registry][1]}(?![\w-])", shown.stdout)


SHOWS: dict[str, Callable[[Done], bool]] = {
    "METRICS": lambda done: all(metric["values"]["empty"] == 0 for metric in done.records("metric")[:1]),
    "PREDICTORS": lambda done: all(
        [bundle["items"] for bundle in one["bundles"]] == [one["items"][:2]] for one in done.records("prediction")
    ),
    "STRATEGIES": lambda done: (
        min((one for one in done.records("session") if "selected" in one), key=lambda one: one["selected"]["rank"])[
            "id"
        ]
        == max(one["id"] for one in sample("train"))
    ),
    "SHOWN_AS": lambda done: (
        {one["text"] for one in done.records("knowledge")}
        == {f"Such a session has {len(one['bundles'])} bundles." for one in sample("train")}
    ),
    "ANSWERS": lambda done: all(re.fullmatch(r"\d+\+\d+|none", one["raw"]) for one in done.records("prediction")),
    "BACKENDS": lambda done: (
        [one["bundles"][0]["intent"] for one in done.records("knowledge")] == ["the first two"] * 2
    ),
    "SOURCES": lambda done: (
        [[item["title"] for item in one["items"]] for one in done.records("session")]
        == [["kettle", "cups", "tea"], ["rope", "tent"]]
    ),
    "RETRIEVERS": lambda done: all(
        one["demos"] == [first["id"] for first in sample("train")[1::-1]] for one in done.records("prediction")
    ),
    "EMBEDDERS": lambda done: done.records("run")[0]["settings"]["embedder"] == "letters",
}
"""What is to be seen of the part in what its run gives."""


@pytest.mark.parametrize("registry", SHOWS)
def test_a_run_uses_it(done: dict[str, Done], registry: str) -> None:
    assert SHOWS[registry](done[registry])
