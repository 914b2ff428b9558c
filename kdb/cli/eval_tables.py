"""Metric and comparison records as tables for a terminal; the records say more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kdb import design
from kdb.records import Comparison, Metric, Record

if TYPE_CHECKING:
    from rich.table import Table

QUALITY = {
    "precision": "precision",
    "recall": "recall",
    "coverage": "coverage",
    "matched_f1": "matched F1",
    "exact": "exact",
    "pair_f1": "pair F1",
    "invalid": "invalid",
}
BESIDE = {
    "bundles_predicted": "bundles a session",
    "size_predicted": "items a bundle",
    "failed": "failed",
    "intent_similarity": "intent similarity",
    "prompt_tokens": "tokens in",
    "completion_tokens": "tokens out",
    "seconds": "seconds a session",
    "parameters": "parameters",
    "flops": "FLOPs a session",
    "retention_matched_f1": "matched F1 kept",
    "speed_up": "speed-up",
}


def show(records: Iterable[Record]) -> None:
    """Print the records as tables on stdout, a block for each domain."""
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    found = list(records)
    metrics = [r for r in found if isinstance(r, Metric)]
    comparisons = [r for r in found if isinstance(r, Comparison)]
    for domain in dict.fromkeys(m.domain for m in metrics):
        own = [m for m in metrics if m.domain == domain]
        sessions = max(m.sessions for m in own)
        strict = [m for m in own if m.protocol == "strict"]
        released = [m for m in own if m.protocol == "released"]
        console.print(_table(f"{domain}, {sessions} sessions: strict protocol, 95 % intervals", strict, QUALITY))
        console.print(_table(f"{domain}: as AICL's released code scores", released, QUALITY))
        console.print(_table(f"{domain}: sizes and cost", strict, BESIDE))
        pairs = [c for c in comparisons if c.domain == domain and c.protocol == "strict"]
        if pairs:
            console.print(_differences(f"{domain}: differences, Holm-corrected p", pairs, own))


def label(metric: Metric) -> str:
    """A run in few words, and the start of its id, or the slice of its sessions."""
    if metric.by:
        return "  " + ", ".join(f"{name} {value}" for name, value in metric.by.items())
    return f"{design.label(metric.settings)} {metric.run[:8]}".strip()


def _table(title: str, metrics: list[Metric], columns: Mapping[str, str]) -> Table:
    table = _empty(title)
    shown = {key: name for key, name in columns.items() if any(m.values.get(key) is not None for m in metrics)}
    for name in shown.values():
        table.add_column(name, justify="right")
    for metric in metrics:
        table.add_row(label(metric), *(_cell(metric.values.get(k), metric.intervals.get(k)) for k in shown))
    return table


def _differences(title: str, pairs: list[Comparison], metrics: list[Metric]) -> Table:
    names = {metric.run: label(metric) for metric in metrics if not metric.by}
    table = _empty(title)
    shown = {key: name for key, name in QUALITY.items() if key in pairs[0].differences}
    for name in shown.values():
        table.add_column(name, justify="right")
    for pair in pairs:
        cells = (f"{_cell(pair.differences[k])}\n{_p(pair.p_holm.get(k))}" for k in shown)
        table.add_row(" −\n".join(names[run] for run in pair.runs), *cells)
    return table


def _empty(title: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold", min_width=12)
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
