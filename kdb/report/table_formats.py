"""A table as Markdown, LaTeX (booktabs), CSV or aligned text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from kdb.report.results import PRIMARY, Results
from kdb.report.tables import Table, TableCell
from kdb.sources.csv_rows import csv_row

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "±": r"$\pm$", "≤": r"$\leq$", "–": "--",
    "<": r"$<$", ">": r"$>$", "“": "``", "”": "''", "→": r"$\rightarrow$",
}  # fmt: skip
LATEX_HEAD = r"% \usepackage{booktabs} in the preamble, and \input{tables}." + "\n"


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, inside a table too."""
    return re.sub(r"([\\|*\[\]_`])", r"\\\1", " ".join(text.split())).replace("<", "&lt;")


def markdown(table: Table) -> str:
    """A pipe table, then its notes."""
    rules = [":--" if n < table.names else "--:" for n in range(len(table.head))]
    rows = [[markdown_text(name) for name in table.head], rules]
    rows += [[markdown_text(cell.text) + _bounds(cell) for cell in row] for row in table.rows]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    notes = [markdown_text(note) for note in table.notes]
    return "\n".join([*lines, *(["", " ".join(notes)] if notes else [])]) + "\n"


def _bounds(cell: TableCell) -> str:
    return " " + cell.detail.replace("[", "\\[").replace("]", "\\]") if cell.detail else ""


def latex_text(text: str) -> str:
    """Text for LaTeX."""
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))


def latex(table: Table, label: str, where: str) -> str:
    """A `table` environment with caption, booktabs rules and notes; only the first intervals are given."""
    kept = [n < table.names + 2 for n in range(len(table.head))]
    body = "\n".join(f"{' & '.join(_latex_row(row, kept))} \\\\" for row in table.rows)
    caption = latex_text(f"{table.title.rstrip('.?')}, {where}.")
    notes = latex_text(" ".join(table.notes))
    return (
        "\\begin{table}\n\\centering\n\\small\n"
        f"\\caption{{{caption}}}\n\\label{{tab:{label}}}\n"
        f"\\begin{{tabular}}{{{'l' * table.names}{'r' * (len(table.head) - table.names)}}}\n\\toprule\n"
        f"{' & '.join(map(latex_text, table.head))} \\\\\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
        f"\\par\\smallskip\n{{\\footnotesize {notes}}}\n\\end{{table}}\n"
    )


def _latex_row(row: Sequence[TableCell], kept: Sequence[bool]) -> list[str]:
    return [
        latex_text(str(cell) if keep or cell.detail.startswith("±") else cell.text)
        for cell, keep in zip(row, kept, strict=True)
    ]


def csv_text(table: Table) -> str:
    """The cells as they are shown."""
    return _csv([table.head, *([str(cell) for cell in row] for row in table.rows)])


def text(table: Table) -> str:
    """Columns aligned for a terminal."""
    rows = [table.head, *([str(cell) for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if n < table.names else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *table.notes]) + "\n"


FORMATS: dict[str, Callable[[Table], str]] = {
    "text": text,
    "markdown": markdown,
    "csv": csv_text,
    "latex": lambda table: latex(table, table.name, "kdb report"),
}


def tidy(domains: Iterable[Results]) -> str:
    """All scores and all differences to the best baseline as CSV, one number a line, unrounded."""
    head = ["domain", "run", "seeds", "protocol", "metric", "value", "low", "high", "difference", "difference_low",
            "difference_high", "p", "p_is_bound"]  # fmt: skip
    rows: list[list[object]] = []
    for results in domains:
        contrasts = {**results.baselines_against_best, **results.against_baseline}
        for one in results.recipes:
            for protocol in ("strict", "released"):
                metric = results.metrics.get((one.run, protocol))
                for key, value in metric.values.items() if metric else ():
                    contrast = contrasts.get(one) if (protocol, key) == ("strict", PRIMARY) else None
                    inside = contrast.interval if contrast and contrast.interval else ("", "")
                    tested = [contrast.difference, *inside, contrast.p, contrast.at_floor] if contrast else [""] * 5
                    bounds: Sequence[object] = results.interval(one, key, protocol) or ("", "")
                    row = [results.domain, one.name, max(1, len(one.seeds)), protocol, key, value]
                    rows.append(["" if cell is None else cell for cell in [*row, *bounds, *tested]])
    return _csv([head, *rows])


def _csv(rows: Iterable[Sequence[object]]) -> str:
    return "".join(f"{csv_row(row).decode()}\n" for row in rows)
