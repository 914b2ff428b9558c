"""The figures: quality against the share of the data, quality against cost, sizes predicted and true."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from kdb.report.blocks import Figure, number
from kdb.report.questions import Group, describe, groups, split_shared
from kdb.report.results import MAIN, Results
from kdb.report.svg import COLOURS, Drawing, Scale

STUDENT, BASELINE, TRUE = 0, 1, 3
"""The styles of marks: a filled circle, a hollow square, a diamond."""


def figures(results: Results, prefix: str) -> Iterator[Figure]:
    """Those figures that the runs allow; `prefix` starts their names."""
    yield from _by_ratio(results, prefix)
    for cost, axis in (("seconds", "seconds a session"), ("flops", "FLOPs a session (estimated)")):
        if figure := _by_cost(results, cost, axis, prefix):
            yield figure
    if figure := _sizes(results, prefix):
        yield figure


def _by_ratio(results: Results, prefix: str) -> Iterator[Figure]:
    """A figure for each set of runs that differ in ratio and strategy only, of three ratios or more."""
    families: dict[str, list[Group]] = {}
    for group in groups(results, "quantity"):
        ratios = [level for level in group.runs if level.endswith(" %")]
        if len(ratios) > 2:
            others = {name: value for name, value in group.shared.items() if name != "strategy"}
            families.setdefault(describe(others, others), []).append(group)
    varying = split_shared([g.shared for family in families.values() for g in family])[1]
    for n, family in enumerate(families.values(), 1):
        shared = describe(family[0].shared, [name for name in varying if name != "strategy"])
        caption = "Matched F1 against the share of the training data, with 95 % bands, by strategy"
        caption += f"; {shared}." if shared else "."
        yield Figure(f"{prefix}-quality-by-ratio-{n}", caption, _ratio_drawing(results, family, caption).svg())


def _ratio_drawing(results: Results, family: Sequence[Group], caption: str) -> Drawing:
    drawing = Drawing(720, 400, caption)
    runs = [run for group in family for run in group.runs.values()]
    x, y = Scale(0, 100, 70, 500), Scale(0, _top(results, runs), 340, 24)
    drawing.axes(x, y, "share of the training data, %", "matched F1")
    for style, group in enumerate(family):
        name = group.shared.get("strategy", "all")
        points = []
        for level, run in group.runs.items():
            value = results.value(run, MAIN)
            if level.endswith(" %") and value is not None:
                low, high = results.interval(run, MAIN) or (value, value)
                points.append((float(level.removesuffix(" %")), value, low, high))
        points.sort()
        lower = [(x.at(share), y.at(low)) for share, _, low, _ in points]
        upper = [(x.at(share), y.at(high)) for share, _, _, high in points]
        drawing.band([*lower, *reversed(upper)], style)
        drawing.line([(x.at(share), y.at(value)) for share, value, _, _ in points], style)
        for share, value, low, high in points:
            drawing.mark(x.at(share), y.at(value), style, f"{name}, {share:g} %: {_said(value, [low, high])}")
        at = 40 + 22 * style
        drawing.line([(520, at), (556, at)], style)
        drawing.mark(538, at, style, name)
        drawing.text(564, at + 4, name)
    return drawing


def _by_cost(results: Results, cost: str, axis: str, prefix: str) -> Figure | None:
    """All runs as numbered points; None where fewer than two have this cost."""
    known = []
    for n, run in enumerate(results.runs, 1):
        spent, value = results.value(run, cost), results.value(run, MAIN)
        if spent and value is not None:
            known.append((n, run, spent, value))
    if len(known) < 2:
        return None
    caption = f"Matched F1 with 95 % intervals against {axis}; numbers as in the table, squares are baselines."
    drawing = Drawing(720, max(400.0, 60 + 18 * len(known)), caption)
    x = Scale(*_powers([spent for _, _, spent, _ in known]), 70, 460, log=True)
    y = Scale(0, _top(results, [run for _, run, _, _ in known]), 340, 24)
    drawing.axes(x, y, f"{axis}, log scale", "matched F1")
    for place, (n, run, spent, value) in enumerate(known):
        bounds = results.interval(run, MAIN)
        if bounds:
            drawing.line([(x.at(spent), y.at(bound)) for bound in bounds], colour="#777777", wide=1)
        style = BASELINE if results.is_baseline(run) else STUDENT
        meaning = f"{results.labels[run]}: {_said(value, bounds)} at {number(spent)} {axis}"
        drawing.mark(x.at(spent), y.at(value), style, meaning)
        drawing.text(x.at(spent) + 8, y.at(value) - 5, str(n))
        drawing.mark(484, 36 + 18 * place, style, results.labels[run])
        drawing.text(496, 40 + 18 * place, f"{n}  {_short(results.labels[run], 32)}")
    return Figure(f"{prefix}-quality-by-{cost}", caption, drawing.svg())


def _sizes(results: Results, prefix: str) -> Figure | None:
    """Two panels of dots: items a bundle and bundles a session."""
    panels = {"size": "items a bundle", "bundles": "bundles a session"}
    runs = [r for r in results.runs if results.value(r, "size_predicted") is not None]
    if not runs:
        return None
    caption = (
        "Means of the predicted bundles with 95 % intervals (squares: baselines), and of the true ones (diamonds)."
    )
    drawing = Drawing(760, 80.0 + 22 * len(runs), caption)
    for row, run in enumerate(runs):
        drawing.text(214, 44 + 22 * row, _short(results.labels[run], 32), "end")
    for panel, (kind, axis) in enumerate(panels.items()):
        ends = [_end(results, run, f"{kind}_{side}") for run in runs for side in ("predicted", "true")]
        x = Scale(0, max(1.0, math.ceil(max(ends))), 230 + 270 * panel, 460 + 270 * panel)
        drawing.axes(x, None, axis)
        for row, run in enumerate(runs):
            at = 40 + 22 * row
            true, value = results.value(run, f"{kind}_true"), results.value(run, f"{kind}_predicted")
            bounds = results.interval(run, f"{kind}_predicted")
            if true is not None:
                drawing.mark(x.at(true), at, TRUE, f"true: {number(true)} {axis}")
            if value is None:
                continue
            if bounds:
                drawing.line([(x.at(bound), at) for bound in bounds], colour=COLOURS[0], wide=1)
            style = BASELINE if results.is_baseline(run) else STUDENT
            drawing.mark(x.at(value), at, style, f"{results.labels[run]}: {_said(value, bounds)} {axis}")
    return Figure(f"{prefix}-sizes", caption, drawing.svg())


def _end(results: Results, run: str, metric: str) -> float:
    value = results.value(run, metric) or 0.0
    return max(value, *(results.interval(run, metric) or [value]))


def _top(results: Results, runs: Sequence[str]) -> float:
    """The end of a quality axis that begins at 0: the next tenth above all intervals."""
    return max(0.1, math.ceil(10 * max(_end(results, run, MAIN) for run in runs) - 1e-9) / 10)


def _powers(values: Sequence[float]) -> tuple[float, float]:
    """The powers of ten around positive values."""
    low = 10.0 ** math.floor(math.log10(min(values)))
    return low, max(10.0 ** math.ceil(math.log10(max(values))), 10 * low)


def _said(value: float, bounds: Sequence[float] | None) -> str:
    return f"{number(value)} [{', '.join(map(number, bounds))}]" if bounds else number(value)


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
