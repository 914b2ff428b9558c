"""The wheel holds all that kdb needs: installed alone, it runs the start of the quick start in another folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from support.command_line import ROOT, SAMPLES

QUICK_START = """
kdb import demo.jsonl --format jsonl --split train,validation |
  kdb extract pattern | kdb extract thought --teacher annotations > kb.jsonl
kdb import demo.jsonl --format jsonl --split test > test.jsonl
kdb infer test.jsonl --baseline pattern-matching --kb kb.jsonl > predictions.jsonl
kdb eval predictions.jsonl > metrics.jsonl
kdb report metrics.jsonl predictions.jsonl test.jsonl -o report
python -c 'import kdb; print(kdb.__file__)'
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "kdb", source / "kdb", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    [made] = folder.glob("*.whl")
    return made


def pip(*argv: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, argv)]
    subprocess.run(command, check=True, capture_output=True)


def test_it_holds_every_file_that_is_no_code(wheel: Path) -> None:
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "kdb").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".md")
    }
    assert {Path(name).suffix for name in data} >= {".txt", ".toml"}
    assert data <= set(zipfile.ZipFile(wheel).namelist())


def test_the_quick_start_runs_elsewhere(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, symlinks=True)
    paths = sysconfig.get_paths("venv", vars={"base": str(environment)})
    # What kdb depends on lies where it lies for the tests; what the wheel brings comes first.
    (Path(paths["purelib"]) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip("--python", f"{paths['scripts']}/python", "install", "--no-deps", "--no-index", wheel)
    shutil.copy(SAMPLES / "demo.jsonl", tmp_path)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables["PATH"] = f"{paths['scripts']}:{variables['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", QUICK_START],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.split()[-1]).is_relative_to(environment)
    assert "63 sessions" in done.stderr and "verified thoughts" in done.stderr
    assert "pattern-matching" in (tmp_path / "report" / "report.html").read_text()
