"""Metric, comparison and run records as a report that can be read, with the records themselves beside it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from kdb.errors import UsageError
from kdb.io.stream import Line
from kdb.records import Prediction, Run, Session
from kdb.report import document, facts, svg, table_formats
from kdb.report.examples import KINDS as EXAMPLE_KINDS
from kdb.report.examples import candidates
from kdb.report.options import ReportOptions
from kdb.report.results import collect
from kdb.report.tables import tables

SCORES = ("metric", "comparison", "calibration", "run")
KINDS = (*SCORES, *EXAMPLE_KINDS)
MOST_SESSIONS = 2_000
IN_PAPER = ("summary", "runs", "format", "quantity", "utilization", "seeds", "released")
"""The tables that `tables.tex` holds."""


def files(lines: Iterable[Line], options: ReportOptions) -> dict[str, bytes]:
    """The files of the report by name; `records.jsonl` holds what every number in it comes from.

    KdbError where there is no metric, or where two records disagree; UsageError where a named run is missing.
    """
    distinct = list({line.text: line for line in _held(lines)}.values())
    used = [line for line in distinct if line.kind in SCORES]
    domains = collect(used, options.baseline, options.student)
    runs = {line.record.id: line.record for line in used if isinstance(line.record, Run)}
    shown = {results.domain: candidates(distinct, results) for results in domains}
    kept = "".join(f"{line.text}\n" for line in [*used, *(line for its in shown.values() for line in its)])
    digest = hashlib.sha256(kept.encode()).hexdigest()[:16]
    sections = [
        document.section(results, runs, shown[results.domain], options.cell or [], digest, bool(options.note))
        for results in domains
    ]
    told = (options.title, sections, options.note or [], facts.provenance(domains, runs))
    drawn = {f"figures/{one.id}-{drawing.name}": drawing for one in sections for drawing in one.drawings}
    return {
        "report.html": document.html(*told).encode(),
        "report.md": document.markdown_page(*told).encode(),
        "tables.tex": _latex(sections).encode(),
        "tables.csv": table_formats.tidy(domains).encode(),
        "records.jsonl": kept.encode(),
        **{f"{name}.svg": svg.alone(drawing.wide) for name, drawing in drawn.items()},
        **{f"{name}.pdf": drawing.pdf for name, drawing in drawn.items()},
    }


def _held(lines: Iterable[Line]) -> Iterator[Line]:
    """The lines that matter; of a long run only its first predictions, among which examples are then chosen."""
    counts: Counter[tuple[str, str]] = Counter()
    for line in lines:
        record = line.record
        if isinstance(record, Prediction | Session):
            key = (record.run if isinstance(record, Prediction) else "", record.domain)
            counts[key] += 1
            if counts[key] > MOST_SESSIONS:
                continue
        if line.kind in KINDS:
            yield line


def table(lines: Iterable[Line], options: ReportOptions, name: str, style: str) -> str:
    """One table of each domain; UsageError where the records do not allow a table of that name."""
    domains = collect((line for line in lines if line.kind in SCORES), options.baseline, options.student)
    made = {results.domain: tables(results, options.cell or []) for results in domains}
    found = {domain: its[name] for domain, its in made.items() if name in its}
    if not found:
        known = ", ".join(dict.fromkeys(one for its in made.values() for one in its))
        raise UsageError(f"--table {name}: the records allow no such table", f"they allow {known}")
    write = table_formats.FORMATS[style]
    return "\n".join(write(one) for one in found.values())


def _latex(sections: Sequence[document.Section]) -> str:
    made = [
        table_formats.latex(table, f"{section.id}-{name}", section.domain)
        for section in sections
        for name, table in section.tables.items()
        if name in IN_PAPER
    ]
    return "\n".join([table_formats.LATEX_HEAD, *made])
