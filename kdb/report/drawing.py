"""One figure, drawn for a wide page and for a narrow one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdb.report import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, NARROW, NARROW_AT_MOST = 900, 330, 480
ROW = 18
"""The height of a line of text."""
_POINT = 72
"""A point of the drawing is a pixel of the page."""


@dataclass(frozen=True)
class Drawing:
    """One figure: `name`, which begins with its number, is its file; `wide` and `narrow` are SVG for the page."""

    name: str
    title: str
    caption: str
    wide: str
    narrow: str
    pdf: bytes


def drawing(name: str, title: str, caption: str, draw: Callable[[int], Figure]) -> Drawing:
    """Draw a figure for both widths."""
    with svg.styled():
        wide = draw(WIDE)
        drawn = svg.svg(wide, title), svg.pdf(wide)
        narrow = svg.svg(draw(NARROW), title, NARROW_AT_MOST)
        return Drawing(name, title, caption, drawn[0], narrow, drawn[1])


def blank(width: int, height: float) -> Figure:
    """An empty figure of so many pixels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / _POINT, height / _POINT), dpi=_POINT)


def area(figure: Figure, width: int, height: float, box: tuple[float, float, float, float]) -> Axes:
    """Axes that leave so many pixels free: left, right, top, bottom."""
    left, right, top, bottom = box
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )
