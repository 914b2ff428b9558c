"""A grid of experiments, written down in one TOML file, as the list of its cells.

A cell is one run: a row of the report. Its `select`, `train` and `infer` are flags of these commands; `{kb}` in
them is the file of what it learns from or looks up, other `{names}` are filled in from `matrix`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from kdb.errors import KdbError, UsageError
from kdb.io.files import os_errors
from kdb.records import KnowledgeFormat

KB = "{kb}"
Value = str | int | float | dict[str, str | int | float]
Fields = dict[str, Any]
Split = Literal["test", "validation"]


class CellTemplate(Struct, frozen=True, forbid_unknown_fields=True):
    """Cells of one kind: one for each combination of the values in `matrix`.

    `split` says of which split, or of `both`. With `select_best_as`, cells on validation: the best of them is asked
    about the test sessions, under that name. `tags` say what the cell is: the questions are answered by them.
    `extract` stands for that of the grid, say where one cell has another teacher.
    """

    name: str
    select: str = ""
    extract: dict[KnowledgeFormat, str] | None = None
    train: str | None = None
    infer: str = ""
    split: Literal["test", "validation", "both"] = "test"
    select_best_as: str = ""
    matrix: dict[str, list[Value]] = {}
    tags: dict[str, str] = {}


class Grid(Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says. `title` stands above the report; what selects or trains is repeated for all `seeds`.

    `extract` are the formats of knowledge that are drawn from the training sessions, with the flags of each.
    `reference` is the baseline that students are compared with where no baseline is on validation sessions.
    """

    title: str
    cells: list[CellTemplate]
    extract: dict[KnowledgeFormat, str] = {}
    seeds: list[int] = field(default_factory=lambda: [0])
    reference: str = ""


class Cell(Struct, frozen=True):
    """One run; without `train` the student is asked as it is, without `select` all of the data is drawn on.

    `recipe` is the name that it shares with the other seeds.
    """

    name: str
    recipe: str
    select: str
    train: str | None
    infer: str
    split: Split
    extract: dict[KnowledgeFormat, str] = {}
    select_best_as: str = ""
    tags: dict[str, str] = {}


def read(path: Path) -> Grid:
    """The grid in a file; KdbError where it is none."""
    with os_errors(path):
        data = path.read_bytes()
    try:
        return msgspec.toml.decode(data, type=Grid)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KdbError(f"{path}: {error}", "samples/grids holds grids to start from") from None


def cells(grid: Grid) -> list[Cell]:
    """All cells in the order of the file; UsageError where two have one name or a flag cannot be filled in."""
    found = [cell for template in grid.cells for cell in _cells(template, grid)]
    names = [(cell.name, cell.split) for cell in found]
    names += dict.fromkeys((cell.select_best_as, "test") for cell in found if cell.select_best_as)
    for name, split in names:
        if names.count((name, split)) > 1:
            raise UsageError(f"two cells on {split} are called {name!r}", "put what tells them apart into the name")
    if not found:
        raise UsageError("the grid has no cell", "add one under [[cells]]")
    return found


def _cells(template: CellTemplate, grid: Grid) -> Iterator[Cell]:
    seeds, own = grid.seeds, template.extract
    is_seeded = bool(template.select) or template.train is not None
    if template.select_best_as and template.split != "validation":
        raise UsageError(
            f'cell {template.name!r}: select_best_as needs split = "validation"',
            "no choice is made on test sessions",
        )
    splits: list[Split] = ["test", "validation"] if template.split == "both" else [template.split]
    for split, fields in product(splits, _combinations(template)):
        for seed in seeds if is_seeded else seeds[:1]:
            suffix = f", seed {seed}" if is_seeded and len(seeds) > 1 else ""
            flag = f"--seed {seed}"
            recipe = _filled(template, template.name, fields)
            tags = {key: _filled(template, value, fields) for key, value in template.tags.items()}
            yield Cell(
                name=recipe + suffix,
                recipe=recipe,
                select=f"{_flags(template, template.select, fields)} {flag}" if template.select else "",
                train=None
                if template.train is None
                else f"{_flags(template, template.train, fields)} {flag}".strip(),
                infer=_flags(template, template.infer, {**fields, "kb": KB}),
                split=split,
                extract=grid.extract
                if own is None
                else {name: _flags(template, flags, fields) for name, flags in own.items()},
                select_best_as=template.select_best_as and template.select_best_as + suffix,
                tags={**tags, "seed": str(seed)} if suffix else tags,
            )


def _combinations(template: CellTemplate) -> Iterator[Fields]:
    """The fields of each cell: a value that is a table gives several of them at once."""
    choices = [
        [value if isinstance(value, dict) else {name: value} for value in values]
        for name, values in template.matrix.items()
    ]
    for chosen in product(*choices):
        yield {name: value for one in chosen for name, value in one.items()}


def _filled(template: CellTemplate, text: str, fields: Fields) -> str:
    """The text, on one line, with its fields filled in."""
    try:
        return " ".join(text.format_map(fields).split())
    except KeyError as error:
        known = ", ".join(fields) or "nothing"
        raise UsageError(
            f"cell {template.name!r}: {{{error.args[0]}}} is not given", f"matrix gives {known}"
        ) from None
    except (ValueError, IndexError) as error:
        raise UsageError(f"cell {template.name!r}: {text!r}: {error}") from None


def _flags(template: CellTemplate, text: str, fields: Fields) -> str:
    """The flags with their fields filled in, if a shell can read them."""
    filled = _filled(template, text, fields)
    try:
        shlex.split(filled)
    except ValueError as error:
        raise UsageError(f"cell {template.name!r}: {text!r}: {error}") from None
    return filled
