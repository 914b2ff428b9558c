"""Curves, scatter plots and reliability diagrams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from kdb.report.drawing import NARROW, ROW, area, blank
from kdb.report.svg import FONT, LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """Points (x, value, interval) of one series."""

    name: str
    points: list[tuple[float, float, Sequence[float] | None]]
    is_baseline: bool = False


SERIES = ("student", "first", "second", "third", "fourth", "fifth")
MARKS = ("o", "^", "D", "v", "P", "X")
GLYPHS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼"}
"""The marks as characters, where there are such."""


def curves(series: Sequence[Curve], axes_names: tuple[str, str], width: int) -> Figure:
    """Lines with intervals, the axes fitted to the data, each line named at its side or, where narrow, below."""
    is_wide = width > NARROW
    below = 0 if is_wide else ROW * len(series)
    height = 300 + below
    figure = blank(width, height)
    axes = area(figure, width, height, (62, 250 if is_wide else 8, 10, 48 + below))
    students = 0
    ends = []
    for n, one in enumerate(series):
        style = "baseline" if one.is_baseline else SERIES[students % len(SERIES)]
        mark = "s" if one.is_baseline else MARKS[students % len(MARKS)]
        students += not one.is_baseline
        xs = [x + (n - len(series) / 2) * _offset(series) for x, _, _ in one.points]
        ys = [value for _, value, _ in one.points]
        axes.plot(
            xs, ys, marker=mark, markersize=6, linewidth=2, color=LIGHT[style], markerfacecolor=LIGHT["page"],
            linestyle="--" if one.is_baseline else "-",
        )  # fmt: skip
        for x, (_, _, bounds) in zip(xs, one.points, strict=True):
            if bounds:
                axes.plot([x, x], bounds, color=LIGHT[style], linewidth=1, alpha=0.7)
        if one.is_baseline and len(xs) == 1:
            axes.axhline(ys[0], color=LIGHT[style], linewidth=1, linestyle="--")
        ends.append((ys[-1], one.name, style, mark))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
    _name_series(figure, axes, ends, width, height, below)
    return figure


def _offset(series: Sequence[Curve]) -> float:
    xs = [x for one in series for x, _, _ in one.points]
    return 0.008 * (max(xs) - min(xs))


def _name_series(
    figure: Figure, axes: Axes, ends: Sequence[tuple[float, str, str, str]], width: int, height: int, below: int
) -> None:
    if below:
        for n, (_, name, style, mark) in enumerate(ends):
            y = (below - (n + 0.5) * ROW) / height
            figure.text(0.03, y, GLYPHS.get(mark, "✚"), color=LIGHT[style], va="center")
            figure.text(0.09, y, name, va="center")
        return
    right = axes.get_position().x1
    for at, (_, name, style, _) in zip(_beside(axes, [y for y, *_ in ends], height), ends, strict=True):
        figure.text(right + 12 / width, at / height, name, color=LIGHT[style], va="center")


def _beside(axes: Axes, values: Sequence[float], height: int) -> list[float]:
    """The heights, in pixels, at which names of these values stand without touching each other."""
    box = axes.get_position()
    low, high = axes.get_ylim()
    return spread_out([(box.y0 + (y - low) / (high - low) * box.height) * height for y in values], ROW)


def spread_out(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions at least `gap` apart, in the same order and near to those wanted."""
    order = sorted(range(len(wanted)), key=lambda n: wanted[n])
    found = list(wanted)
    for before, after in pairwise(order):
        found[after] = max(found[after], found[before] + gap)
    shift = (sum(found) - sum(wanted)) / max(1, len(found))
    return [at - shift for at in found]


@dataclass(frozen=True)
class Point:
    """A recipe in a scatter plot: what it costs, how good it is."""

    name: str
    x: float
    y: float
    interval: Sequence[float] | None
    is_baseline: bool


def scatter(points: Sequence[Point], axes_names: tuple[str, str], width: int) -> Figure:
    """Quality against cost on a logarithmic axis, every point named at the right."""
    is_wide = width > NARROW
    height, side = 320, 260 if is_wide else 130
    figure = blank(width, height)
    axes = area(figure, width, height, (62 if is_wide else 52, side, 10, 48))
    axes.set_xscale("log")
    for one in points:
        colour = LIGHT["baseline" if one.is_baseline else "student"]
        if one.interval:
            axes.plot([one.x, one.x], one.interval, color=colour, linewidth=1)
        axes.plot([one.x], [one.y], marker="s" if one.is_baseline else "o", markersize=7, color=colour)
    axes.margins(0.08)
    axes.grid(axis="both")
    axes.set_axisbelow(True)
    axes.minorticks_off()
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
    right = axes.get_position().x1
    for at, one in zip(_beside(axes, [one.y for one in points], height), points, strict=True):
        colour = LIGHT["baseline" if one.is_baseline else "student"]
        axes.annotate(
            one.name, (one.x, one.y), xytext=(right + 14 / width, at / height), textcoords="figure fraction",
            va="center", color=colour, fontsize=FONT,
            arrowprops={"arrowstyle": "-", "color": LIGHT["grid"], "linewidth": 1},
        )  # fmt: skip
    return figure


def reliability(points: Sequence[tuple[float, float]], width: int) -> Figure:
    """The share of right bundles against the probability given to them, one mark a bin, beside the diagonal."""
    size = 360 if width > NARROW else width
    figure = blank(size, size)
    axes = area(figure, size, size, (62, 12, 10, 48))
    axes.plot([0, 1], [0, 1], color=LIGHT["muted"], linewidth=1, linestyle="--")
    axes.plot(*zip(*points, strict=True), marker="o", color=LIGHT["student"], linewidth=2)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.grid(axis="both")
    axes.set(xlabel="probability given to a bundle", ylabel="share of these that are hits")
    return figure
