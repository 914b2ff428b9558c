"""Metric, comparison and run records as a report that can be read, with the records themselves beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kdb.records import Run
from kdb.report import html, markdown
from kdb.report.blocks import Figure
from kdb.report.contents import document
from kdb.report.results import collect
from kdb.stream import Line

KINDS = ("metric", "comparison", "run")
FIGURES = "figures"


def run(lines: Iterable[Line], title: str, notes: Sequence[str], cells: Sequence[str] = ()) -> dict[str, bytes]:
    """The files of the report by name; `records.jsonl` holds what every number in it comes from.

    `cells` name runs that belong there. KdbError where there is no metric, or where two records disagree.
    """
    used = list({line.text: line for line in lines if line.kind in KINDS}.values())
    runs = {line.record.id: line.record for line in used if isinstance(line.record, Run)}
    blocks = document(collect(used), runs, title, notes, cells)
    drawn = {f"{FIGURES}/{b.name}.svg": b.svg.encode() for b in blocks if isinstance(b, Figure)}
    return {
        "report.md": markdown.render(blocks, FIGURES).encode(),
        "report.html": html.render(blocks).encode(),
        "records.jsonl": b"".join(line.text.encode() + b"\n" for line in used),
        **drawn,
    }
