"""The cells of a grid as rules for make, so that what is done is not done again and `-j` works.

A file's name holds a hash of all flags that it was made with, those of what it was made from included: a changed
setting is another file, and only what depends on it is made anew.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from msgspec import structs

from kdb.errors import UsageError
from kdb.grid.matrix import KB, Cell, Grid, cells
from kdb.io.provenance import content_hash, file_hash
from kdb.records import SHOWN_AS
from kdb.sources.bundlerec import FILES
from kdb.sources.policy import EXTRA_TITLES

SPLIT_FILE = "split.json"
DRAWN_SPLIT = "--split-ratio 7:1:2 --seed 0"
"""How folders without a split of their own are split."""

HEADER = """\
# Made by kdb grid. `make -k cells` makes every run that can be made, `make reports` tells of those that are there.
KDB ?= kdb
OUT := {out}
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: always cells reports test-report validation-report

# What a stopped run left is gone on with, unless what it was made from is newer.
outdated = for file in $^; do [ ! "$$file" -nt $1.kdb-part ] || rm -rf $1.kdb-part; done
going_on = $$([ -e $@.kdb-part ] && echo --resume || echo -o) $@ --force

# Another teacher in the environment makes anew what was extracted: this file changes with it, and only then.
$(OUT)/teacher: always
	@mkdir -p $(OUT)
	@printf '%s\\n' "$${{KDB_TEACHER_URL-}}" "$${{KDB_TEACHER_MODEL-}}" | sha256sum > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
always:
"""
TEACHER = "$(OUT)/teacher"
ATOMIC_REDIRECT = "> $@.new && mv $@.new $@"
"""A file is there when it is whole, even if make itself is killed."""


Planned = tuple[str, str, str]
"""The name of a run, the split it is on, and its file."""


@dataclass(frozen=True)
class MakeRule:
    """A file, what it is made from, and the commands that make it."""

    target: str
    needs: list[str]
    recipe: list[str]

    def __str__(self) -> str:
        lines = "".join(f"\t{command}\n" for command in self.recipe)
        return f"{self.target}: {' '.join(self.needs)}\n{lines}"


def rules(grid: Grid, seeds: Sequence[int], data: Sequence[Path], out: Path) -> str:
    """The makefile of a grid on the data of some folders, all files of which go into `out`.

    `seeds` stand for those of the grid, if there are any.
    """
    for path in [*data, out]:
        if re.search(r"[^\w./+@-]", str(path)):
            raise UsageError(f"{path}: make cannot handle such a path", "use letters, digits, '.', '-' and '_'")
    return "\n".join(
        [
            HEADER.format(out=out),
            *map(str, MakefileBuilder(structs.replace(grid, seeds=list(seeds) or grid.seeds), data).rules()),
        ]
    )


class MakefileBuilder:
    """Collects rules; two cells that need the same file share it."""

    def __init__(self, grid: Grid, data: Sequence[Path]) -> None:
        self.grid, self.data = grid, data
        self.found: dict[str, MakeRule] = {}

    def rules(self) -> list[MakeRule]:
        """The rules of all cells, reports first."""
        planned = self._planned()
        targets = " ".join(target for *_, target in planned)
        reports = [self._report(split, planned) for split in ("test", "validation")]
        made = [rule for rule in reports if rule]
        return [
            MakeRule("cells", [targets], []),
            MakeRule("reports", [rule.target for rule in made], []),
            *made,
            *self.found.values(),
        ]

    def _planned(self) -> list[Planned]:
        found = cells(self.grid)
        planned: list[Planned] = [(cell.recipe, cell.split, self._run(cell)) for cell in found]
        for name in dict.fromkeys(cell.select_best_as for cell in found if cell.select_best_as):
            group = [cell for cell in found if cell.select_best_as == name]
            planned.append((name, "test", self._choice(name, group)))
        return planned

    def _add(self, target: str, needs: list[str], *recipe: str) -> str:
        self.found.setdefault(target, MakeRule(target, needs, [f"@mkdir -p {Path(target).parent}", *recipe]))
        return target

    def _file(self, folder: str, name: str, *settings: str) -> str:
        slug = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")[:60]
        return f"$(OUT)/{folder}/{slug}-{content_hash(settings)[:8]}.jsonl"

    def _imported(self, split: str, *then: str) -> str:
        """The sessions of a split, from all folders, through further commands.

        Its name holds the hash of what the folders hold, so that other data are another file, whatever their times.
        """
        imports = [f"$(KDB) import {_import_flags(folder)} --split {split}" for folder in self.data]
        head = imports[0] if len(imports) == 1 else f"{{ {' && '.join(imports)}; }}"
        files = [file for folder in self.data for file in _data_files(folder)]
        hashes = [file_hash(file) for file in files]
        target = self._file("data", split.replace(",", "-"), head, *then, *hashes)
        needs = [*map(str, files), *([TEACHER] if any(_asks_teacher(command) for command in then) else [])]
        return self._add(target, needs, f"{' | '.join([head, *then])} {ATOMIC_REDIRECT}")

    def _kb(self, cell: Cell, split: str) -> str:
        """What a cell learns from and looks up: knowledge is drawn from the sessions that it selects alone.

        Only where knowledge itself is selected, or selects by what rules say, is it drawn from all of them first.
        Runs on validation sessions draw on training sessions alone: no number is of sessions that were learnt from.
        """
        known, extract = "train,validation" if split == "test" else "train", _extractions(cell.extract)
        if not cell.select:
            return self._imported(known, *extract)
        needs_rules = _selects_by_knowledge(cell.select)
        source = self._imported(known, *(extract if needs_rules else []))
        then = [] if needs_rules else extract
        needs = [source, *([TEACHER] if any(map(_asks_teacher, then)) else [])]
        command = " | ".join([f"$(KDB) select {source} {_recipe(cell.select)}", *then])
        return self._add(self._file("kb", cell.select, source, command), needs, f"{command} {ATOMIC_REDIRECT}")

    def _adapter(self, cell: Cell, split: str) -> str:
        """The `run` record of a training, beside which the adapter lies in a folder of that name."""
        kb = self._kb(cell, split)
        target = self._file("adapters", f"{cell.select} {cell.train}", kb, cell.train or "")
        flags = f"{_recipe(cell.train or '')} --resume --force -o {_folder(target)}"
        outdated = f"@$(call outdated,{_folder(target)})"
        return self._add(target, [kb], outdated, f"$(KDB) train {kb} {flags} {ATOMIC_REDIRECT}")

    def _infer_command(self, cell: Cell, name: str, split: str) -> tuple[list[str], str]:
        """What a run is made from, and the command that makes it, but for where it goes."""
        sessions, kb = self._imported(split), self._kb(cell, split) if KB in cell.infer else ""
        tags = " ".join(f"--tag {shlex.quote(f'{key}={value}')}" for key, value in cell.tags.items())
        needs = [sessions]
        flags = _recipe(" ".join(filter(None, [f"--name {shlex.quote(name)}", tags, cell.infer])))
        if cell.train is not None:
            adapter = self._adapter(cell, split)
            needs.append(adapter)
            flags = f"--adapter {_folder(adapter)} {flags}"
        if KB in cell.infer:
            needs.append(kb)
        return needs, f"$(KDB) infer {sessions} {flags.replace(KB, kb)}".rstrip()

    def _run(self, cell: Cell) -> str:
        needs, command = self._infer_command(cell, cell.recipe, cell.split)
        target = self._file("runs", cell.name, command)
        return self._add(target, needs, "@$(call outdated,$@)", f"{command} $(going_on)")

    def _choice(self, name: str, group: Sequence[Cell]) -> str:
        """The run on test of whichever cell is the best on validation."""
        tried = [self._run(cell) for cell in group]
        asked = [self._infer_command(cell, name, "test") for cell in group]
        cases = [
            f"{_recipe(shlex.quote(cell.recipe))}) {command} $(going_on);;"
            for cell, (_, command) in zip(group, asked, strict=True)
        ]
        best = f'case "$$($(KDB) eval {" ".join(tried)} --best)" in'
        script = " \\\n\t  ".join([best, *cases, "*) exit 1;; esac"])
        needs = [*tried, *dict.fromkeys(need for its, _ in asked for need in its)]
        return self._add(self._file("runs", name, script), needs, "@$(call outdated,$@)", script)

    def _report(self, split: str, planned: Sequence[Planned]) -> MakeRule | None:
        """Scores the runs on one split that are there, and tells of the others that they are not."""
        own = [(name, target) for name, its, target in planned if its == split]
        if not own:
            return None
        folder, sessions = f"$(OUT)/{split}", self._imported(split)
        runs = f"$(wildcard {' '.join(target for _, target in own)})"
        named = " ".join(f"--cell {shlex.quote(name)}" for name in dict.fromkeys(name for name, _ in own))
        flags = _recipe(f"{named} --title {shlex.quote(f'{self.grid.title}: {split} sessions')}")
        recipe = [
            f"@mkdir -p {folder}",
            f"$(KDB) eval {runs} {sessions}{self._reference(split)} --force -o {folder}/metrics.jsonl",
            f"$(KDB) report {folder}/metrics.jsonl {runs} {sessions} {flags} --force -o {folder}",
        ]
        waits = ["|", "validation-report"] if split == "test" and self._chooses_baseline() else []
        return MakeRule(f"{split}-report", [sessions, *waits], recipe)

    def _chooses_baseline(self) -> bool:
        """Whether baselines are on validation sessions, so that the best of them is the reference on test."""
        return any(cell.split == "validation" and "--baseline" in cell.infer for cell in cells(self.grid))

    def _reference(self, split: str) -> str:
        if split == "test" and self._chooses_baseline():
            return " --reference $(OUT)/validation/metrics.jsonl"
        return f" --reference {_recipe(shlex.quote(self.grid.reference))}" if self.grid.reference else ""


def _import_flags(folder: Path) -> str:
    """A folder with what it has: extra titles, or else untitled items are left out; its split, or one drawn."""
    extra, split = folder / EXTRA_TITLES, folder / SPLIT_FILE
    titles = f"--titles {extra}" if extra.is_file() else "--untitled drop"
    return f"{folder} {titles} " + (f"--split-file {split}" if split.is_file() else DRAWN_SPLIT)


def _extractions(extract: Mapping[str, str]) -> list[str]:
    """In the order of the formats, whatever that of the file."""
    return [f"$(KDB) extract {name} {_recipe(extract[name])}".strip() for name in SHOWN_AS if name in extract]


def _selects_by_knowledge(flags: str) -> bool:
    """Whether it chooses among knowledge, or by the difficulty that rules record where no other source is named."""
    words = shlex.split(flags)
    pairs = list(pairwise(words))
    by_rules = ("--difficulty", "rules") in pairs or not any(word.startswith("--difficulty") for word in words)
    return ("--of", "knowledge") in pairs or (("--strategy", "difficulty") in pairs and by_rules)


def _asks_teacher(command: str) -> bool:
    """Whether a command may ask the teacher that the environment names."""
    return bool(re.search(r"extract (?!pattern\b)", command)) and "--teacher annotations" not in command


def _data_files(folder: Path) -> list[Path]:
    """What `kdb import` reads of a folder; other files in it, whatever they are called, matter to nobody."""
    names = [*(f"{name}.csv" for name in (*FILES, "user_session")), EXTRA_TITLES, SPLIT_FILE]
    return [folder / name for name in names if (folder / name).is_file()]


def _folder(record: str) -> str:
    return record.removesuffix(".jsonl")


def _recipe(text: str) -> str:
    """Text as make hands it to the shell unchanged."""
    return text.replace("$", "$$").strip()
