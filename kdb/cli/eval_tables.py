"""Metric and comparison records as tables for a terminal; the records say more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kdb import console
from kdb.evaluation import titles
from kdb.evaluation.labels import labels
from kdb.records import Comparison, Metric, Record

if TYPE_CHECKING:
    from rich.table import Table

QUALITY, COST = titles("quality"), titles("cost")
RELEASED = titles("quality", protocol="released")
SHOWN = {key: name for key, name in QUALITY.items() if key != "exact"}
"""So many columns fit into 80 characters."""
BESIDE = titles("answers", "sizes")
INTENTS = titles("intents")
KEPT = {key: titles("teacher")[key] for key in ("retention_matched_f1", "speed_up", "token_share")}


def show(records: Iterable[Record]) -> None:
    """Print the records as tables on stdout, a block for each domain."""

    out = console.tables()
    found = list(records)
    metrics = [r for r in found if isinstance(r, Metric)]
    names = labels(m for m in metrics if not m.slice)
    for domain in dict.fromkeys(m.domain for m in metrics):
        own = [m for m in metrics if m.domain == domain]
        sessions = max(m.sessions for m in own)
        strict = [m for m in own if m.protocol == "strict"]
        released = [m for m in own if m.protocol == "released"]
        title = f"{domain}, {sessions} sessions: strict protocol, 95 % intervals"
        out.print(_table(title, strict, SHOWN, names))
        out.print(_table(f"{domain}: as AICL's released code scores", released, RELEASED, names))
        out.print(_table(f"{domain}: answers", strict, BESIDE, names, bounds=False))
        if any(m.values.get(key) is not None for m in strict for key in INTENTS):
            out.print(_table(f"{domain}: intents of matched bundles", strict, INTENTS, names))
        out.print(_table(f"{domain}: cost of a session", strict, COST | KEPT, names, bounds=False))
        pairs = [r for r in found if isinstance(r, Comparison) and (r.domain, r.protocol) == (domain, "strict")]
        if pairs:
            out.print(_differences(f"{domain}: differences, Holm-corrected p", pairs, names))


def _table(
    title: str, metrics: list[Metric], columns: Mapping[str, str], names: Mapping[str, str], bounds: bool = True
) -> Table:
    """A row a metric record; columns in which any has a value."""
    shown = {key: name for key, name in columns.items() if any(m.values.get(key) is not None for m in metrics)}
    table = _empty(title, shown)
    for metric in metrics:
        label = ", ".join(f"{k} {v}" for k, v in metric.slice.items())
        cells = (_cell(metric.values.get(k), metric.intervals.get(k) if bounds else None) for k in shown)
        table.add_row(f"  {label}" if label else names[metric.run], *cells)
    return table


def _differences(title: str, pairs: list[Comparison], names: Mapping[str, str]) -> Table:
    shown = {key: name for key, name in SHOWN.items() if key in pairs[0].differences}
    table = _empty(title, shown)
    for pair in pairs:
        cells = (f"{_cell(pair.differences[k])}\n{_p(pair.p_holm.get(k))}" for k in shown)
        table.add_row(" −\n".join(names[run] for run in pair.runs), *cells)
    return table


def _empty(title: str, columns: Mapping[str, str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1)
    )
    table.add_column("", overflow="fold", min_width=12)
    for name in columns.values():
        table.add_column(name, justify="right")
    return table


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "p < 0.001" if value < 0.001 else f"p {value:.3f}"


def _cell(value: float | None, bounds: list[float] | None = None) -> str:
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:.3g}"
    spread = "\n" + "–".join(f"{bound:.2f}" for bound in bounds) if bounds else ""
    return f"{value:.3f}{spread}"
