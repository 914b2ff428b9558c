"""Drawings as SVG text: axes with ticks, lines, bands, points. Told apart by dash and shape, not by colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "5 2 1 2 1 2")
COLOURS = ("#111111", "#0b5c94", "#a63a0a", "#2f6b1d", "#6b2c7a", "#5c5c5c")
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring")
FONT = 'font-family="system-ui, sans-serif" font-size="12"'


@dataclass(frozen=True)
class Scale:
    """Values to positions; `start` and `end` are the positions of `low` and `high`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The position of a value."""
        low, high, value = (
            map(math.log10, (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values across the scale: powers of ten and, if they are few, 2 and 5 times them; or even steps."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(powers) < 4 else (1,)
            values = [n * 10.0**power for power in powers[:: max(1, len(powers) // 7)] for n in steps]
            return [value for value in values if self.low <= value * 1.0001 and value <= self.high * 1.0001]
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= rough * 0.999)
        count = math.floor((self.high - self.low) / step + 1e-9)
        return [round(self.low + n * step, 10) for n in range(count + 1)]


def tick_text(value: float) -> str:
    """A tick as it is written: `0.2`, `100`, `2·10⁹`."""
    if not (value >= 1e5 or 0 < value < 1e-3):
        return f"{value:g}"
    power = math.floor(math.log10(value) + 1e-9)
    times = round(value / 10.0**power)
    raised = "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return raised if times == 1 else f"{times}·{raised}"


@dataclass
class Drawing:
    """A drawing of some size, filled piece by piece."""

    width: float
    height: float
    title: str
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, anchor: str = "start", turn: int = 0) -> None:
        """Words with their foot at a point, `anchor` start, middle or end of it."""
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {FONT} fill="#111"{turned}>{escape(text)}</text>'
        )

    def line(
        self, points: Sequence[tuple[float, float]], style: int = 0, colour: str = "", wide: float = 2
    ) -> None:
        """A line through points."""
        dash = f' stroke-dasharray="{DASHES[style % len(DASHES)]}"' if style % len(DASHES) else ""
        colour = colour or COLOURS[style % len(COLOURS)]
        self.parts.append(
            f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" stroke-width="{wide:g}"{dash}/>'
        )

    def band(self, points: Sequence[tuple[float, float]], style: int) -> None:
        """A pale area inside points, with a thin edge."""
        colour, dash = COLOURS[style % len(COLOURS)], DASHES[style % len(DASHES)]
        self.parts.append(
            f'<polygon points="{_points(points)}" fill="{colour}" fill-opacity="0.1" stroke="{colour}" '
            f'stroke-width="0.6" stroke-opacity="0.6" stroke-dasharray="{dash or "none"}"/>'
        )

    def mark(self, x: float, y: float, style: int, meaning: str) -> None:
        """A point; `meaning` is what it says when pointed at."""
        colour = COLOURS[style % len(COLOURS)]
        shape, r = SHAPES[style % len(SHAPES)], 4.5
        if shape in ("circle", "ring"):
            body = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}"'
        elif shape == "cross":
            body = f'<path d="M{x - r:.1f} {y - r:.1f}l9 9m0 -9l-9 9"'
        else:
            corners = {
                "square": [(-r, -r), (r, -r), (r, r), (-r, r)],
                "triangle": [(0, -r - 1), (r + 0.5, r), (-r - 0.5, r)],
                "diamond": [(0, -r - 1.5), (r + 1, 0), (0, r + 1.5), (-r - 1, 0)],
            }[shape]
            body = f'<polygon points="{_points([(x + a, y + b) for a, b in corners])}"'
        fill = "#fff" if shape in ("ring", "square") else colour
        self.parts.append(
            f'{body} fill="{fill}" stroke="{colour}" stroke-width="1.5"><title>{escape(meaning)}</title>'
            f"</{body[1 : body.index(' ')]}>"
        )

    def axes(self, x: Scale, y: Scale | None, x_name: str, y_name: str = "") -> None:
        """A frame with ticks and the names of what is measured; without `y` only the lower axis."""
        top, bottom = (y.end, y.start) if y else (24.0, self.height - 44)
        for value in x.ticks():
            at = x.at(value)
            self.line([(at, bottom), (at, top)], colour="#dddddd", wide=1)
            self.text(at, bottom + 17, tick_text(value), "middle")
        for value in y.ticks() if y else ():
            at = y.at(value) if y else 0.0
            self.line([(x.start, at), (x.end, at)], colour="#dddddd", wide=1)
            self.text(x.start - 7, at + 4, tick_text(value), "end")
        self.line([(x.start, bottom), (x.end, bottom)], colour="#111", wide=1)
        if y:
            self.line([(x.start, bottom), (x.start, top)], colour="#111", wide=1)
            self.text(x.start - 42, (top + bottom) / 2, y_name, "middle", turn=-90)
        self.text((x.start + x.end) / 2, bottom + 36, x_name, "middle")

    def svg(self) -> str:
        """The whole drawing."""
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" height="{self.height:g}" role="img" aria-label="{escape(self.title)}">\n'
            f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
        )


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
