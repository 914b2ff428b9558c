"""A report as Markdown, its figures as files of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kdb.report.blocks import Block, Cell, Figure, Heading, Table, Text


def render(blocks: Sequence[Block], figures: str) -> str:
    """The document; figures are linked to as `FIGURES/NAME.svg`."""
    return "\n\n".join(_block(block, figures) for block in blocks) + "\n"


def _block(block: Block, figures: str) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {escape(block.text)}"
    if isinstance(block, Text):
        mark = "* " if len(block.lines) > 1 else ""
        return "\n".join(mark + escape(line) for line in block.lines)
    if isinstance(block, Figure):
        return f"![{escape(block.caption)}]({figures}/{block.name}.svg)\n\n*{escape(block.caption)}*"
    return _table(block)


def _table(table: Table) -> str:
    rule = [":--" if n < table.names else "--:" for n in range(len(table.head))]
    rows = [[escape(name) for name in table.head], rule, *([_cell(cell) for cell in row] for row in table.rows)]
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{text}\n\n{escape(table.note)}" if table.note else text


def _cell(cell: Cell) -> str:
    text = f"**{escape(cell.text)}**" if cell.best else escape(cell.text)
    return f"{text} {escape(cell.bounds)}" if cell.bounds else text


def escape(text: str) -> str:
    """Text on one line that Markdown takes as it is."""
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    # `<` would open HTML (as would an entity), a bar would end a cell, the others would set type or link.
    plain = re.sub(r"[\\`*|]|_(?!\w)|(?<!\w)_", lambda m: "\\" + m.group(), one_line)
    return re.sub(
        r"\](?=[(\[])|!(?=\[)", lambda m: "\\" + m.group(), plain.replace("&", "&amp;").replace("<", "&lt;")
    )
