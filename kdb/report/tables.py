"""The tables of all runs on one domain: quality under both protocols, cost, and slices of the sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kdb.evaluation import titles
from kdb.report.blocks import NOT_RUN, Cell, Table, Text, amount_cell, p_value, signed, value_cell
from kdb.report.results import ALPHA, MAIN, Results

QUALITY, COST = titles("quality"), titles("cost")
RELEASED = titles("quality", protocol="released")


def quality(results: Results, cells: Sequence[str] = ()) -> Table:
    """All runs under the strict protocol, each beside the best baseline, then `cells` that were not run."""
    table = _runs(results, QUALITY, "strict")
    baseline = results.best_baseline
    if baseline is not None and not all(results.is_baseline(run) for run in results.runs):
        head = [*table.head, "matched F1 − best baseline"]
        rows = [[*row, _gain(results, run, baseline)] for row, run in zip(table.rows, results.runs, strict=True)]
        table = replace(table, head=head, rows=rows)
    absent = [[Cell("–"), Cell(name)] for name in cells if name not in results.names]
    if not absent:
        return table
    blank = [NOT_RUN] * (len(table.head) - table.names)
    note = "Not run: what the grid asks for and has no result, because it failed or was not reached."
    return replace(table, rows=[*table.rows, *([*names, *blank] for names in absent)], note=note)


def released(results: Results) -> Table:
    """All runs as the code released with AICL scores."""
    return _runs(results, RELEASED, "released")


def of_runs(results: Results, columns: Mapping[str, str]) -> Table | Text | None:
    """All runs with those of these columns in which any has more than 0; None where there is no value."""
    values = {key: [v for run in results.runs if (v := results.value(run, key)) is not None] for key in columns}
    zero = [columns[key] for key, those in values.items() if those and not any(those)]
    shown = {key: name for key, name in columns.items() if any(values[key])}
    note = f"0 in all runs: {', '.join(zero)}." if zero else ""
    if not shown:
        return Text([note]) if note else None
    return replace(_runs(results, shown, "strict"), note=note)


def _runs(results: Results, columns: Mapping[str, str], protocol: str) -> Table:
    rows = [[Cell(str(n)), Cell(results.labels[run])] for n, run in enumerate(results.runs, 1)]
    for key in columns:
        best = results.best(results.runs, key, protocol)
        for row, run in zip(rows, results.runs, strict=True):
            value, bounds = results.value(run, key, protocol), results.interval(run, key, protocol)
            row.append(amount_cell(value) if key in COST else value_cell(value, bounds, run == best))
    return Table(["no.", "run", *columns.values()], rows, names=2)


def _gain(results: Results, run: str, baseline: str) -> Cell:
    if run == baseline:
        return Cell("best baseline")
    found = results.difference(run, baseline, MAIN)
    return Cell(signed(found[0]), f"({p_value(found[1])})") if found else Cell("not compared")


def verdicts(results: Results) -> list[str]:
    """Which students beat the best baseline and which do not, by the paired test."""
    baseline = results.best_baseline
    students = [run for run in results.runs if not results.is_baseline(run)]
    if baseline is None:
        return []
    said: dict[str, list[str]] = {"better than": [], "not significantly different from": [], "worse than": []}
    for run in students:
        if found := results.difference(run, baseline, MAIN):
            gain, p = found
            verdict = (
                "not significantly different from" if p >= ALPHA else "better than" if gain > 0 else "worse than"
            )
            said[verdict].append(results.labels[run])
    name = f"{results.labels[baseline]}, the best baseline, in matched F1"
    return [f"{verdict.capitalize()} {name}: {'; '.join(runs)}." for verdict, runs in said.items() if runs]


def slices(results: Results) -> Table | None:
    """The scores on slices of the sessions; None where none were asked for."""
    strict = [metric for metric in results.slices if metric.protocol == "strict"]
    if not strict:
        return None
    rows = [
        [
            Cell(results.labels.get(m.run, m.run[:8])),
            Cell(", ".join(f"{name} {value}" for name, value in m.slice.items())),
            Cell(f"{m.sessions:,}"),
            *(value_cell(m.values.get(key), m.intervals.get(key)) for key in QUALITY),
        ]
        for m in strict
    ]
    return Table(["run", "sessions with", "sessions", *QUALITY.values()], rows, names=2)


def sessions(results: Results) -> str:
    """How many sessions and true bundles were scored."""
    found = [m for (_, protocol), m in results.metrics.items() if protocol == "strict"] or [
        *results.metrics.values()
    ]
    counts = sorted({m.sessions for m in found})
    bundles = sorted({m.counts["true"] for m in found if "true" in m.counts})
    text = f"{' or '.join(f'{n:,}' for n in counts)} sessions"
    if bundles:
        text += f" with {' or '.join(f'{n:,}' for n in bundles)} true bundles"
    return text if len(counts) == 1 else f"{text}: not all runs were scored on the same sessions"
