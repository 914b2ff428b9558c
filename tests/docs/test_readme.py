"""Every README holds: its commands run, they print what it shows, and what it names is there.

The blocks of one README run in order in one folder. A server is played by the fake teacher, and `make` only says
what it would do. The packaged student runs where the first README shows what it does, and a tiny one everywhere
else. Numbers are compared as they stand, but not where a language model made them, as processors round differently.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.command_line import ROOT, SAMPLES
from support.fake_teacher import FakeTeacher, running

from kdb.extraction import spark
from kdb.grid.makefile import rules
from kdb.grid.matrix import read
from kdb.records import Session
from kdb.student import weights

PATHS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        ROOT / "README.md",
        *(f for top in ("kdb", "samples", "tests") for f in (ROOT / top).rglob("README.md")),
    ]
)
TEXTS = {path: (ROOT / path).read_text(encoding="utf-8") for path in PATHS}
README = TEXTS["README.md"]
ADDRESSES = ("https://api.openai.com/v1", "http://localhost:8000/v1")
SERVER = re.compile(r"transformers serve .*&")
EVERYWHERE = {"--help"}
OF_OTHERS = {
    "--app-dir",
    "--dtype",
    "--embedding",
    "--embeddings",
    "--folds",
    "--master",
    "--nproc-per-node",
    "--pooling",
    "--port",
    "--runner",
}  # of what serves and launches, and of samples/sweep.py


@dataclass(frozen=True)
class Block:
    path: str
    heading: str
    language: str
    text: str

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Each command with the output that is shown for it; all of a `sh` block is one command without any."""
        if self.language == "sh":
            return [(self.text, [])]
        parts = re.split(r"(?m)^\$ ", self.text.replace("\\\n", " "))[1:]
        return [(command, shown.splitlines()) for command, _, shown in (part.partition("\n") for part in parts)]


def blocks(path: str) -> Iterator[Block]:
    heading = ""
    for match in re.finditer(r"(?ms)^#+ ([^\n]+)$|^( *)```(\w*)\n(.*?)^\2```$", TEXTS[path]):
        heading = match[1] or heading
        if match[4]:
            yield Block(path, heading, match[3], textwrap.dedent(match[4]))


BLOCKS = [block for path in PATHS for block in blocks(path)]
RUN = [block for block in BLOCKS if block.language in ("sh", "console")]


class Shell:
    """Runs blocks in one folder; what a block exports, the next one has."""

    def __init__(self, folder: Path, kdb: Path) -> None:
        self.folder = folder
        self._exports = folder / "exports.sh"
        self._exports.write_text("")
        (folder / "samples").symlink_to(SAMPLES)
        for shop in ("electronic", "clothing"):
            (folder / shop).symlink_to(SAMPLES / "kitchen")  # in the same layout
        for name in ("Makefile", "pyproject.toml"):
            (folder / name).symlink_to(ROOT / name)
        made = [("paper", "out"), ("smoke", "out/smoke")]
        made += [("experiment", f"out/{shop}") for shop in ("electronic", "clothing")]
        for grid, out in made:
            # Even a dry run of make reads the rules that kdb grid would have made by then.
            (folder / out).mkdir(parents=True)
            text = rules(read(SAMPLES / "grids" / f"{grid}.toml"), [], [folder / "electronic"], Path(out))
            (folder / out / "grid.mk").write_text(text)
        self._command("kdb", f'exec "{kdb}" "$@"')
        for name, module in (("torchrun", "torch.distributed.run"), ("uvicorn", "uvicorn")):
            self._command(name, f'exec "{sys.executable}" -m {module} "$@"')
        self._command("python", f'exec "{sys.executable}" "$@"')
        submit = Path(sys.executable).with_name("spark-submit")
        self._command("spark-submit", f'PYSPARK_PYTHON="{sys.executable}" exec "{submit}" "$@"')
        self._command("make", f'exec "{shutil.which("make")}" --dry-run "$@"')

    def _command(self, name: str, line: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def run(self, block: Block, address: str, cache: Path) -> list[tuple[int, str]]:
        """The exit code and the output of each command, as a terminal shows it."""
        lines = ["set -o pipefail", f'source "{self._exports}"']
        for command, _ in block.commands:
            for known in ADDRESSES:
                command = command.replace(known, address)
            lines += [SERVER.sub("true", command), r'printf "\n\036%s\036" $?']
        lines.append(f'export -p | grep KDB_TEACHER > "{self._exports}"')
        environment = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "KDB_CACHE": str(cache),
            "KDB_TEACHER_KEY": "a-key",
        }
        done = subprocess.run(
            ["bash", "-c", "\n".join(lines)],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=500,
        )
        parts = done.stdout.decode().replace(str(Path.home()), "~").split("\x1e")
        return [(int(code), output) for output, code in zip(parts[::2], parts[1::2], strict=False)]


@pytest.fixture(scope="module")
def shells(tmp_path_factory: pytest.TempPathFactory, kdb_program: Path) -> dict[str, Shell]:
    """A shell for each README."""
    return {path: Shell(tmp_path_factory.mktemp("readme"), kdb_program) for path in PATHS}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all blocks keep: vectors of texts, and embedders that were fine-tuned on the same sessions."""
    return tmp_path_factory.mktemp("learnt")


def cache_with(student: Path, learnt: Path, folder: Path) -> Path:
    """A cache without answers, whose packaged student is the one given."""
    (folder / "models").mkdir(parents=True)
    (folder / "models" / weights.STUDENT).symlink_to(student)
    for kind in ("embeddings", "indexes", "pair_learners"):
        (learnt / kind).mkdir(exist_ok=True)
        (folder / kind).symlink_to(learnt / kind)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[FakeTeacher, str]]:
    """A teacher that knows the truth, and its address."""
    teacher = FakeTeacher()
    with running(teacher) as address:
        yield teacher, address


@pytest.mark.parametrize("block", RUN, ids=[f"{block.path}-{n}-{block.heading}" for n, block in enumerate(RUN)])
def test_commands_print_what_is_shown(
    block: Block,
    shells: dict[str, Shell],
    learnt: Path,
    tmp_path: Path,
    tiny_student: Path,
    server: tuple[FakeTeacher, str],
) -> None:
    teacher, address = server
    if "spark-submit" in block.text and not (find_spec("pyspark") and spark.java()):
        pytest.skip("needs kdb[spark] and Java")
    # Where the packaged student is the teacher, all answers are cut off, as its would be.
    teacher.fault, teacher.times = ("cut", -1) if SERVER.search(block.text) else ("", 0)
    modelled = bool(SERVER.search(block.text) or "kdb train" in block.text)
    student = Path(weights.student_path(weights.STUDENT)) if block.path == "README.md" else tiny_student
    results = shells[block.path].run(block, address, cache_with(student, learnt, tmp_path / "cache"))
    assert len(results) == len(block.commands) > 0
    for (command, shown), (code, output) in zip(block.commands, results, strict=True):
        stopped = any("have no answer" in line for line in shown)
        assert code == int(stopped), f"{command}\n{output}"
        if shown:
            assert re.fullmatch(pattern(shown, modelled), squeezed(output)), f"{command}\n{output}"


def squeezed(output: str) -> str:
    """The lines that hold anything, blanks at their ends removed."""
    return "".join(f"{line.rstrip()}\n" for line in output.splitlines() if line.strip())


def pattern(shown: list[str], modelled: bool) -> str:
    """What an output must match to be the one shown: `...` stands for anything, alone on a line for any lines."""
    return "".join(
        r"(?:.*\n)*" if line.strip() == "..." else _line(line.rstrip(), modelled) + "\n"
        for line in shown
        if line.strip()
    )


def _line(line: str, modelled: bool) -> str:
    parts = re.split(r"(\.\.\.|bfloat16|\d[\d,.]*| {2,}|─+)", line)
    anything = {"...": ".*"}
    if modelled:
        anything |= {"bfloat16": r"b?float\d+"}
    found = []
    for part in parts:
        loose = r" *" if part.isspace() else r"\d[\d,.]*" if part[:1].isdigit() else "─+" if "─" in part else None
        found.append(anything.get(part) or (loose if loose and modelled else re.escape(part)))
    return "".join(found)


def test_a_pattern_can_fail() -> None:
    shown = ["kdb: 5 sessions, 0.25 left", "..."]
    assert re.fullmatch(pattern(shown, False), "kdb: 5 sessions, 0.25 left\nmore\n")
    assert not re.fullmatch(pattern(shown, False), "kdb: 6 sessions, 0.25 left\n")
    assert re.fullmatch(pattern(shown, True), "kdb: 6 sessions, 0.5 left\n")
    assert not re.fullmatch(pattern(shown, True), "kdb: no sessions, 0.5 left\n")


def test_blocks_without_a_language_hold_no_commands() -> None:
    assert {block.language for block in BLOCKS} == {"sh", "console", "json", "python", ""}
    for block in BLOCKS:
        if block.language == "":
            assert not re.search(r"(?m)^(\$ |kdb |make )", block.text), block


def test_records_shown_are_sessions() -> None:
    shown = [msgspec.json.decode(block.text, type=Session) for block in BLOCKS if block.language == "json"]
    assert shown and all(session.truth for session in shown)


def test_all_commands_and_only_flags_that_exist_are_named() -> None:
    commands = dict(_commands())
    described = {name.removeprefix("kdb ") for name in re.findall(r"(?m)^\| `(kdb [a-z ]+)` \|", README)}
    assert described | {"prompts list", "prompts show"} == {*commands, "prompts"}
    known = {flag for flags in commands.values() for flag in flags}
    named = {flag for text in TEXTS.values() for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text)}
    assert len(named) > 20
    assert named - known - EVERYWHERE - OF_OTHERS == set()


def _commands() -> Iterator[tuple[str, set[str]]]:
    """Every command with its flags."""
    from typer.main import get_command

    from kdb.cli.main import app

    def walk(prefix: str, command: Any) -> Iterator[tuple[str, set[str]]]:
        for name in command.list_commands(None) if hasattr(command, "commands") else ():
            yield from walk(f"{prefix} {name}".strip(), command.get_command(None, name))
        if not hasattr(command, "commands"):
            yield prefix, {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}

    yield from walk("", get_command(app))


def test_files_that_are_named_are_there() -> None:
    for path, text in TEXTS.items():
        named = set(re.findall(r"`((?:kdb|samples|tests)/[\w./]*)`", text))
        assert [name for name in named if not (ROOT / name).exists()] == [], path
    folders = {f"{p.parent.name}/" for p in (ROOT / "kdb").glob("*/__init__.py")}
    shown = set(re.findall(r"(?m)^\| `(\w+/)` \|", TEXTS["kdb/README.md"]))
    assert folders and folders == shown


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.splitlines()) <= 180
    assert len(re.findall(r"!\[[^\]]+\]\([^)]+\.svg\)", README)) == 3


def test_links_lead_somewhere() -> None:
    for path, text in TEXTS.items():
        headings = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"(?m)^#+ (.*)$", text)}
        for target in re.findall(r"\]\(([^)]+)\)", text):
            here = (ROOT / path).parent / target.partition("#")[0]
            known = target[1:] in headings if target.startswith("#") else here.exists()
            assert known or target.startswith("https://"), f"{path}: {target}"
