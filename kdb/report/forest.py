"""Forest plots: differences with their intervals, one a row, numbers at the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdb.evaluation.contrasts import Contrast
from kdb.evaluation.number_format import p_value, signed, signed_span
from kdb.report.drawing import NARROW, ROW, area, blank
from kdb.report.svg import FONT, LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GLYPH = 6.2
"""About the width of a character."""


@dataclass(frozen=True)
class Row:
    """A line of a forest plot: a heading, or a label with its contrast."""

    label: str
    contrast: Contrast | None = None
    is_baseline: bool = False


def forest(rows: Sequence[Row], axis: str, width: int) -> Figure:
    """Differences with their intervals, a filled mark where the corrected test finds one, numbers at the right."""
    is_wide = width > NARROW
    labels, numbers = (270, 270) if is_wide else (118, 148)
    row_height = ROW if is_wide else ROW - 3
    lines: list[tuple[Row, bool]] = []  # whether the label stands on a line of its own, above
    for row in rows:
        if row.contrast and len(row.label) * _GLYPH > labels:
            lines.append((Row(row.label), True))
            row = Row("", row.contrast, row.is_baseline)
        lines.append((row, False))
    height = len(lines) * row_height + 44
    figure = blank(width, height)
    axes = area(figure, width, height, (labels, numbers, 2, 42))
    axes.set_xlim(*_limits([row.contrast for row in rows if row.contrast]))
    axes.set_ylim(len(lines) - 0.5, -0.5)
    for y, (row, is_label) in enumerate(lines):
        _forest_row(figure, axes, row, y, is_label, width, numbers)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6 if is_wide else 2)
    axes.xaxis.set_major_formatter(lambda value, _: signed(value) if abs(value) > 1e-9 else "0")
    figure.text(
        0.5 if not is_wide else (labels + (width - labels - numbers) / 2) / width, 4 / height, axis, ha="center"
    )
    return figure


def _limits(contrasts: Sequence[Contrast]) -> tuple[float, float]:
    """A range that holds zero and, but for the few that lie far off, every interval."""
    ends = sorted(one.interval or (one.difference, one.difference) for one in contrasts)
    few = len(ends) // 6
    low, high = min(0.0, ends[0][0]), max(0.0, *(end for _, end in ends))
    near = min(0.0, ends[few][0])
    low = near if high - low > 2 * (high - near) else low
    margin = 0.04 * (high - low or 1)
    return low - margin, high + margin


def _forest_row(figure: Figure, axes: Axes, row: Row, y: int, is_label: bool, width: int, numbers: int) -> None:
    scale = axes.get_position()
    at = scale.y1 - (y + 0.5) / abs(axes.get_ylim()[0] - axes.get_ylim()[1]) * scale.height
    one = row.contrast
    weight = "normal" if one or is_label else "bold"
    size = FONT if width > NARROW else FONT - 1
    left = 0.0 if weight == "bold" else 10 / width
    figure.text(left, at, row.label, va="center", weight=weight, fontsize=size)
    if one is None:
        return
    axes.plot([0, 0], [y - 0.5, y + 0.5], color=LIGHT["muted"], linewidth=1)
    colour = LIGHT["baseline" if row.is_baseline else "student"]
    left_end = axes.get_xlim()[0]
    if one.difference < left_end:
        axes.plot([left_end], [y], marker="<", markersize=7, color=colour, clip_on=False)
    if one.interval and one.interval[1] > left_end:
        axes.plot([max(left_end, one.interval[0]), one.interval[1]], [y, y], color=colour, linewidth=2)
    axes.plot(
        [one.difference], [y], marker="s" if row.is_baseline else "o", markersize=7, linestyle="none",
        color=colour, markerfacecolor=colour if one.is_significant else LIGHT["page"], markeredgewidth=1.5,
    )  # fmt: skip
    start = 1 - (numbers - 8) / width
    figure.text(start, at, f"{signed(one.difference)} {signed_span(one.interval)}", va="center", fontsize=size)
    if width > NARROW:
        figure.text(1, at, p_value(one.p, one.at_floor), va="center", ha="right", color=LIGHT["muted"])
