"""A report as one HTML file that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from kdb.report.blocks import Block, Cell, Figure, Heading, Table, Text

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #111; background: #fff; max-width: 72rem;
  margin: 2rem auto; padding: 0 1.5rem; }}
h1, h2, h3 {{ line-height: 1.2; margin: 2.2rem 0 .6rem; }}
h2 {{ border-bottom: 1px solid #111; padding-bottom: .2rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .7rem; text-align: right; vertical-align: top; border-bottom: 1px solid #ddd; }}
thead th {{ border-bottom: 1px solid #111; vertical-align: bottom; }}
.name {{ text-align: left; font-weight: normal; overflow-wrap: break-word; }}
thead .name {{ font-weight: bold; }}
.bounds {{ display: block; color: #555; font-size: 11px; white-space: nowrap; }}
.missing {{ color: #767676; font-style: italic; }}
.note, figcaption {{ color: #444; font-size: 13px; max-width: 48rem; }}
figure {{ margin: 1.5rem 0; }}
svg {{ max-width: 100%; height: auto; }}
@media print {{ body {{ max-width: none; margin: 0; }} table, figure {{ break-inside: avoid; }} }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def render(blocks: Sequence[Block]) -> str:
    """The document; the first heading is its title."""
    title = next((b.text for b in blocks if isinstance(b, Heading)), "")
    return PAGE.format(title=escape(title), body="\n".join(map(_block, blocks)))


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
    if isinstance(block, Figure):
        return f"<figure>\n{block.svg}<figcaption>{escape(block.caption)}</figcaption>\n</figure>"
    if isinstance(block, Table):
        return _table(block)
    return _text(block)


def _text(text: Text) -> str:
    if len(text.lines) == 1:
        return f"<p>{escape(text.lines[0])}</p>"
    return "<ul>\n" + "\n".join(f"<li>{escape(line)}</li>" for line in text.lines) + "\n</ul>"


def _table(table: Table) -> str:
    names = [' class="name"' if n < table.names else "" for n in range(len(table.head))]
    head = "".join(f'<th scope="col"{n}>{escape(text)}</th>' for n, text in zip(names, table.head, strict=True))
    rows = "\n".join(
        f"<tr>{''.join(map(_cell, row, (n < table.names for n in range(len(row)))))}</tr>" for row in table.rows
    )
    note = f'\n<p class="note">{escape(table.note)}</p>' if table.note else ""
    whole = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    return f'<div class="wide">{whole}</div>{note}'


def _cell(cell: Cell, name: bool) -> str:
    text = f"<strong>{escape(cell.text)}</strong>" if cell.best else escape(cell.text)
    bounds = f' <span class="bounds">{escape(cell.bounds)}</span>' if cell.bounds else ""
    kind = ' class="name"' if name else ' class="missing"' if cell.text == "not run" else ""
    return f"<td{kind}>{text}{bounds}</td>"
