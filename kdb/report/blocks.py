"""What a report is made of, whichever way it is written down."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """One value of a table, its interval, and whether it is better than every other one beside it."""

    text: str
    bounds: str = ""
    best: bool = False


@dataclass(frozen=True)
class Heading:
    """A title; `level` 1 is the document's."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph, or a list where there are several lines."""

    lines: list[str]


@dataclass(frozen=True)
class Table:
    """The first `names` columns are text, the others numbers; `note` stands below."""

    head: list[str]
    rows: list[list[Cell]]
    note: str = ""
    names: int = 1


@dataclass(frozen=True)
class Figure:
    """A drawing as SVG; `name` is unique in the document."""

    name: str
    caption: str
    svg: str = field(repr=False)


Block = Heading | Text | Table | Figure


def number(value: float | None) -> str:
    """A value as tables show it: three decimals for what is near 1, three digits for what is far from it."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 1e6 or 0 < size < 0.0005:
        return f"{value:.3g}"
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}"


def signed(value: float) -> str:
    """A difference, with its sign, and + where it rounds to nothing."""
    return f"{round(value, 3) + 0.0:+.3f}"


def p_value(p: float) -> str:
    """A p-value after its sign."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def value_cell(value: float | None, bounds: list[float] | None = None, best: bool = False) -> Cell:
    """A value with its interval."""
    spread = f"[{', '.join(map(number, bounds))}]" if bounds and value is not None else ""
    return Cell(number(value), spread, best)


def amount_cell(value: float | None) -> Cell:
    """What something took: a number without an interval, for it varies with the sessions, not their sample."""
    whole = value is not None and value < 1e6 and value == round(value)
    return Cell(f"{value:,.0f}" if whole else number(value))


NOT_RUN = Cell("not run")
