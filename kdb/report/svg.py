"""Matplotlib figures as small SVG whose colours are CSS variables, and as PDF."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {  # name: on a light page, on a dark one
    "page": ("#fefefe", "#15181c"),
    "ink": ("#1c2025", "#e6e8eb"),
    "muted": ("#5d666f", "#a0a9b3"),
    "grid": ("#dadee3", "#363d45"),
    "student": ("#0b5cad", "#74b6ff"),
    "baseline": ("#5a5f66", "#b4bac2"),
    "first": ("#b2521a", "#ffa463"),
    "second": ("#1d7a3b", "#64cb89"),
    "third": ("#6b3fa1", "#c29ef4"),
    "fourth": ("#0c7c84", "#58ccd4"),
    "fifth": ("#8a6d00", "#dcc24c"),
}
LIGHT = {name: light for name, (light, _) in COLOURS.items()}
"""What a figure is drawn with; the page replaces it."""
VARIABLES = {colour: f"var(--{name})" for name, colour in LIGHT.items()}
_DEFAULT = ("stroke-linecap", "stroke-linejoin")
FONT = 12
_NAMESPACES = {"": "http://www.w3.org/2000/svg", "xlink": "http://www.w3.org/1999/xlink"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "font.size": FONT,
    "axes.edgecolor": LIGHT["muted"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.labelsize": FONT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "xtick.labelcolor": LIGHT["ink"],
    "ytick.labelcolor": LIGHT["ink"],
    "xtick.labelsize": FONT,
    "ytick.labelsize": FONT,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": LIGHT["grid"],
    "grid.linewidth": 1,
}


def css() -> str:
    """The variables of both themes."""
    light, dark = (";".join(f"--{name}:{pair[theme]}" for name, pair in COLOURS.items()) for theme in (0, 1))
    return f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"


@contextmanager
def styled() -> Iterator[None]:
    """Inside, figures are drawn in the style of the report, whatever the user's own settings are."""
    import matplotlib
    from matplotlib import rc_context

    with rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def svg(figure: Figure, title: str, widest: int = 0) -> str:
    """The drawing without a page of its own: it takes its colours and its font from the page around it.

    It fills the width that it has, up to `widest` pixels, or to as many as it was drawn for.
    """
    import matplotlib

    # Ids are hashes: a page that holds two drawings of one figure needs others in each.
    matplotlib.rcParams["svg.hashsalt"] = f"{title} {figure.get_figwidth():.2f}"
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    for prefix, uri in _NAMESPACES.items():
        ElementTree.register_namespace(prefix, uri)
    root = ElementTree.fromstring(buffer.getvalue())
    width, height = root.get("viewBox", "0 0 0 0").split(" ")[2:]
    root.attrib = {
        "viewBox": f"0 0 {width} {height}",
        "role": "img",
        "style": f"max-width:{widest or round(float(width))}px",
    }
    _drop(root, ("metadata", "style"))
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    _thin(root, used)
    label = ElementTree.Element(f"{{{_NAMESPACES['']}}}title")
    label.text = title
    root.insert(0, label)
    return ElementTree.tostring(root, encoding="unicode")


def alone(drawing: str) -> bytes:
    """The drawing as a file of its own, light or dark as its viewer prefers."""
    style = f"<style>{css()}svg{{background:var(--page)}}text{{font-family:system-ui,sans-serif}}</style>"
    head, _, rest = drawing.partition(">")
    return f"{head}>{style}{rest}\n".encode()


def pdf(figure: Figure) -> bytes:
    """The drawing for a paper."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()


def _drop(element: ElementTree.Element, names: tuple[str, ...]) -> None:
    for child in list(element):
        if child.tag.rpartition("}")[2] in names:
            element.remove(child)
        else:
            _drop(child, names)


def _thin(element: ElementTree.Element, used: set[str]) -> None:
    """Remove ids that nothing refers to, groups that say nothing, and white space; shorten what remains."""
    element.text = (element.text or "").strip() or None
    element.tail = None
    if element.get("id") and element.get("id") not in used:
        del element.attrib["id"]
    for name, value in element.attrib.items():
        element.attrib[name] = _short_style(value) if name == "style" else _rounded(value)
    children: list[ElementTree.Element] = []
    for child in list(element):
        _thin(child, used)
        is_group = child.tag.endswith("}g")
        if is_group and not child.attrib:
            children.extend(child)
        elif len(child) or not (is_group or child.tag.endswith("}defs")):
            children.append(child)
    element[:] = children


def _rounded(value: str) -> str:
    """Coordinates with one decimal."""
    value = re.sub(r"-?\d+\.\d+", lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), value)
    return " ".join(value.replace("rotate(-0 ", "rotate(0 ").split())


def _short_style(style: str) -> str:
    """Colours as variables, the page's font, and nothing that is the default."""
    found: dict[str, str] = {}
    for part in style.split(";"):
        name, _, value = (one.strip() for one in part.partition(":"))
        if name == "font":
            size = re.search(r"([\d.]+)px", value)
            found |= {"font-size": f"{size[1]}px"} if size else {}
            found |= {"font-weight": "700"} if re.search(r"\b(bold|700)\b", value) else {}
        elif value and name not in _DEFAULT:
            found[name] = VARIABLES.get(value, value)
    return ";".join(f"{name}:{value}" for name, value in found.items())
