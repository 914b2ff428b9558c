"""How numbers are written for people: one format for sentences, tables, figures and the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

MINUS = "−"
NOTHING = "–"


def number(value: float | None) -> str:
    """Three decimals near 1, whole numbers from 100 on, three digits for what is far from both."""
    if value is None:
        return NOTHING
    size = abs(value)
    if size >= 1e7 or 0 < size < 0.0005:
        text = f"{value:.3g}"
    elif size >= 100 or (size > 1 and value == int(value)):
        text = f"{value:,.0f}"
    elif size >= 10:
        text = f"{value:.1f}"
    else:
        text = f"{value:.3f}"
    return text.replace("-", MINUS)


def amount(value: float) -> str:
    """How much of something: none, 1,034, 1.01 million."""
    if not value:
        return "none"
    if value >= 1e6:
        return f"{value / 1e6:.3g} million"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def signed(value: float | None) -> str:
    """A difference with its sign: +0.003, −0.020, and 0.000 where it rounds to nothing."""
    if value is None:
        return NOTHING
    rounded = round(value, 3)
    return f"{rounded:+.3f}".replace("-", MINUS) if rounded else "0.000"


def span(bounds: Sequence[float] | None) -> str:
    """An interval in brackets: [0.641, 0.727]; empty where there is none."""
    return f"[{number(bounds[0])}, {number(bounds[1])}]" if bounds else ""


def signed_span(bounds: Sequence[float] | None) -> str:
    """The interval of a difference in brackets: [−0.020, +0.027]."""
    return f"[{signed(bounds[0])}, {signed(bounds[1])}]" if bounds else ""


def p_value(p: float | None, at_floor: bool = False) -> str:
    """A p value with its sign: "p = 0.79", "p < 0.001", and "p ≤ 0.010" where no permutation could give less."""
    if p is None:
        return "not tested"
    if at_floor:
        return f"p ≤ {max(math.ceil(p * 1e4), 1) / 1e4:.4f}".removesuffix("0")
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"
