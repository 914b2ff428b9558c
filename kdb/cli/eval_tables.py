"""Metric and comparison records as a table a domain for a terminal; the records say more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from kdb import console
from kdb.evaluation import PRIMARY_METRIC, titles
from kdb.evaluation.families import BASELINE, BASELINES
from kdb.evaluation.labels import labels, without_shared
from kdb.evaluation.number_format import MINUS, NOTHING, number, p_value, signed
from kdb.evaluation.verdict import verdict
from kdb.records import Comparison, Metric, Record

if TYPE_CHECKING:
    from rich.table import Table

Names = Mapping[str, str]
NEXT = "kdb eval ... -o metrics.jsonl && kdb report metrics.jsonl -o report/"


def show(records: Iterable[Record], full: bool = False) -> None:
    """Print a table and a sentence a domain on stdout, then the next command; `full`: all other metrics too."""
    out = console.tables()
    found = list(records)
    metrics = [r for r in found if isinstance(r, Metric)]
    comparisons = [r for r in found if isinstance(r, Comparison) and r.protocol == "strict"]
    merged = {seed for metric in metrics for seed in metric.seeds}
    named = labels(m for m in metrics if not m.slice)
    names, shared = without_shared(named, [run for run in named if run not in merged])
    for domain in dict.fromkeys(m.domain for m in metrics):
        own = [m for m in metrics if m.domain == domain and m.protocol == "strict" and not m.slice]
        ranked = sorted((m for m in own if m.run not in merged), key=_rank)
        pairs = [pair for pair in comparisons if pair.domain == domain]
        out.print(_main(domain, ranked, pairs, names, shared))
        if full:
            for table in _rest(domain, metrics, pairs, names):
                out.print(table)
        out.print(verdict(domain, ranked, pairs, names))
        out.print()
    out.print(f"next: {NEXT}", soft_wrap=True)


def _rank(metric: Metric) -> float:
    return -(metric.values.get(PRIMARY_METRIC) or 0.0)


def _main(domain: str, ranked: Sequence[Metric], pairs: Sequence[Comparison], names: Names, shared: str) -> Table:
    """The runs by falling matched F1, each beside the reference."""
    against = {pair.runs[0]: pair for pair in pairs if pair.family in (BASELINE, BASELINES)}
    reference = next((pair.reference for pair in against.values()), "")
    sessions = max(m.sessions for m in ranked)
    title = f"{domain}, {sessions} sessions, 95 % intervals"
    if reference:
        title += f"; difference to {names[reference]}"
    if shared:
        title += f"; all of {shared}"
    table = _empty(title, ["matched F1", "difference", "prec.", "recall", "s"])
    for metric in ranked:
        pair = against.get(metric.run)
        difference = _difference(pair) if pair else "reference" if metric.run == reference else NOTHING
        spread = f" sd {number(metric.spread[PRIMARY_METRIC])}" if PRIMARY_METRIC in metric.spread else ""
        value = number(metric.values.get(PRIMARY_METRIC))
        table.add_row(
            names[metric.run] + (f" ({len(metric.seeds)} seeds{spread})" if metric.seeds else ""),
            f"{value} {_span(metric.intervals.get(PRIMARY_METRIC))}".rstrip(),
            difference,
            number(metric.values.get("precision")),
            number(metric.values.get("recall")),
            _seconds(metric.values.get("seconds")),
        )
    return table


def _difference(pair: Comparison) -> str:
    gain, bounds = pair.differences.get(PRIMARY_METRIC), pair.intervals.get(PRIMARY_METRIC)
    return f"{signed(gain)} {_span(bounds, sign=True)}".rstrip()


def _span(bounds: Sequence[float] | None, sign: bool = False) -> str:
    """An interval in few characters: `[.59, .73]`, `[−.06, +.02]`."""
    if not bounds:
        return ""
    texts = [f"{round(bound, 2) + 0.0:{'+' if sign else ''}.2f}".replace("-", MINUS) for bound in bounds]
    return f"[{', '.join(text.replace('0.', '.', 1) if '1.' not in text else text for text in texts)}]"


def _seconds(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def _rest(domain: str, metrics: Sequence[Metric], pairs: Sequence[Comparison], names: Names) -> Iterable[Table]:
    """All other values: slices, the released protocol, answers, intents, cost, calibration, families."""
    own = [m for m in metrics if m.domain == domain]
    strict = [m for m in own if m.protocol == "strict"]
    released = [m for m in own if m.protocol == "released"]
    yield _values(f"{domain}: strict protocol", strict, titles("quality"), names, spans=True)
    yield _values(
        f"{domain}: released protocol", released, titles("quality", protocol="released"), names, spans=True
    )
    for group in ("answers", "sizes", "pairs", "intents", "calibration", "cost", "teacher"):
        columns = titles(group)
        shown = {key: name for key, name in columns.items() if any(m.values.get(key) is not None for m in strict)}
        keys = list(shown)
        for start in range(0, len(keys), 5):  # so many columns fit into 80 characters
            part = {key: shown[key] for key in keys[start : start + 5]}
            yield _values(f"{domain}: {group}", strict, part, names)
    for family in dict.fromkeys(pair.family for pair in pairs if pair.p_holm):
        yield _family(domain, family, [pair for pair in pairs if pair.family == family], names)


def _values(
    title: str, metrics: Sequence[Metric], columns: Mapping[str, str], names: Names, spans: bool = False
) -> Table:
    """A row a metric record."""
    table = _empty(title, list(columns.values()))
    for metric in metrics:
        label = ", ".join(f"{k} {v}" for k, v in metric.slice.items())
        cells = []
        for key in columns:
            span = f"\n{_span(metric.intervals.get(key))}" if spans else ""
            cells.append(number(metric.values.get(key)) + span)
        table.add_row(f"  {label}" if label else names[metric.run], *cells)
    return table


def _family(domain: str, family: str, pairs: Sequence[Comparison], names: Names) -> Table:
    """The comparisons of one family: matched F1, and p corrected within it."""
    table = _empty(f"{domain}: {family}, p corrected within this family", ["difference in matched F1", "p"])
    for pair in pairs:
        at_floor = pair.p.get(PRIMARY_METRIC, 1.0) <= pair.p_floor
        table.add_row(
            " − ".join(names[run] for run in pair.runs),
            _difference(pair),
            p_value(pair.p_holm.get(PRIMARY_METRIC), at_floor),
        )
    return table


def _empty(title: str, columns: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1)
    )
    table.add_column("", overflow="fold", min_width=12)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=len(name) <= 10)
    return table
