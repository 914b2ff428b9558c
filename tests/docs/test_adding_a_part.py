"""The parts that `kdb/README.md` adds: each is one file and one line, and is found in the help and in a run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import ROOT, SAMPLES

README = (ROOT / "kdb" / "README.md").read_text(encoding="utf-8")
PARTS = re.findall(r"with the line `(.+?)`:\n\n```python\n# (\S+)\n(.*?)```", README, re.DOTALL)
REGISTRY = {"metrics": "evaluation/__init__.py", "predictors": "predictors/__init__.py"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the parts of the README."""
    folder = tmp_path_factory.mktemp("parts")
    shutil.copytree(ROOT / "kdb", folder / "kdb", ignore=shutil.ignore_patterns("__pycache__"))
    for line, path, code in PARTS:
        (folder / path).write_text(code, encoding="utf-8")
        registry = folder / "kdb" / REGISTRY[Path(path).parent.name]
        text = registry.read_text(encoding="utf-8")
        start = re.search(r"(?m)^(METRICS|PREDICTORS) = \{$", text)
        assert start, registry
        registry.write_text(f"{text[: start.end()]}\n    {line}{text[start.end() :]}", encoding="utf-8")
    return folder


def kdb(package: Path, *argv: object) -> str:
    command = [sys.executable, "-m", "kdb", *map(str, argv)]
    environment = {**os.environ, "PYTHONPATH": str(package), "COLUMNS": "120"}
    return subprocess.run(command, cwd=package, env=environment, check=True, capture_output=True, text=True).stdout


def test_there_are_parts() -> None:
    assert [path for _, path, _ in PARTS] == ["kdb/evaluation/metrics/empty.py", "kdb/predictors/first_two.py"]


def test_a_new_baseline_is_in_the_help_and_predicts(package: Path) -> None:
    assert "first-two" in kdb(package, "infer", "--help")
    kdb(package, "import", SAMPLES / "sessions.jsonl", "--format", "jsonl", "--split", "test", "-o", "test.jsonl")
    kdb(package, "infer", "test.jsonl", "--baseline", "first-two", "-o", "first-two.jsonl")
    scores = kdb(package, "eval", "first-two.jsonl", "--format", "records")
    assert '"empty":0.0' in scores
