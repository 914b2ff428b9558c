"""Draws the pictures of the README: `python samples/make_pictures.py [FOLDER]` (default: `pictures/` here).

`session.svg`: one session of the samples with its bundles. `pipe.svg`: the stages and what passes between them.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import msgspec
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from kdb.records import Session

HERE = Path(__file__).parent
SHOWN = ("kitchen", "31")
"""The session of `session.svg`: its domain and id."""
INK, MUTED, PAPER = "#1f2933", "#616e7c", "#ffffff"
COLORS = ("#0b7285", "#c2560c", "#5f3dc4")
STAGES = (
    ("import", "sessions", "from a log, a sheet\nor annotated data"),
    ("select", "a part of them", "random, length,\ndiversity, difficulty"),
    ("extract", "knowledge", "patterns, rules,\nthoughts, labels"),
    ("train", "an adapter", "LoRA on a small\nstudent"),
    ("infer", "predictions", "bundles, intents,\nprobabilities"),
    ("eval", "scores", "intervals, tests,\ncost"),
)


def box(axes: Axes, x: float, y: float, width: float, height: float, color: str, fill: str = PAPER) -> None:
    """A rounded box with its lower left corner at (x, y)."""
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, ec=color, fc=fill, lw=1.6))


def canvas(width: float, height: float) -> Axes:
    """Axes of width x height inches, one unit an inch."""
    figure = plt.figure(figsize=(width, height), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return axes


def draw_session(session: Session) -> None:
    """One card an item in the order of the session; items of a bundle share a color, its intent stands below."""
    color = {i: c for bundle, c in zip(session.truth or [], COLORS, strict=False) for i in bundle.items}
    width, gap, left = 1.42, 0.12, 0.15
    axes = canvas(left * 2 + len(session.items) * (width + gap) - gap, 2.75)
    axes.text(left, 2.5, "One shopping session", color=MUTED, fontsize=11, va="center")
    for n, item in enumerate(session.items):
        x, own = left + n * (width + gap), color.get(item.id)
        box(axes, x, 0.95, width, 1.3, own or "#cbd2d9")
        lines = textwrap.wrap(item.title, 17)
        title = "\n".join([*lines[:4], "…"] if len(lines) > 5 else lines)
        axes.text(x + 0.1, 2.13, title, color=INK if own else MUTED, fontsize=9, va="top", linespacing=1.35)
    for bundle, own in zip(session.truth or [], COLORS, strict=False):
        places = [n for n, item in enumerate(session.items) if item.id in bundle.items]
        row = 0.62 - 0.36 * (session.truth or []).index(bundle)
        centers = [left + n * (width + gap) + width / 2 for n in places]
        axes.plot([centers[0], centers[-1]], [row, row], color=own, lw=1.6)
        for x in centers:
            axes.plot([x, x], [row, 0.95], color=own, lw=1.6, solid_capstyle="round")
        axes.text(
            sum(centers[:2]) / 2, row, f" {bundle.intent} ", color=own, fontsize=10.5, va="center", ha="center",
            bbox={"fc": PAPER, "ec": "none", "pad": 1.5},
        )  # fmt: skip


def draw_pipe() -> None:
    """The stages in the order of the pipe, what each hands on, and the teacher above."""
    width, gap, left = 1.3, 0.28, 0.15
    axes = canvas(left * 2 + len(STAGES) * (width + gap) - gap, 2.35)
    for n, (name, product, detail) in enumerate(STAGES):
        x = left + n * (width + gap)
        color = COLORS[0] if name in ("train", "infer") else COLORS[1] if name == "extract" else INK
        box(axes, x, 0.75, width, 0.72, color)
        axes.text(
            x + width / 2, 1.22, f"kdb {name}", color=color, fontsize=11.5, ha="center", va="center", weight="bold"
        )
        axes.text(x + width / 2, 0.95, product, color=INK, fontsize=9.5, ha="center", va="center")
        axes.text(x + width / 2, 0.6, detail, color=MUTED, fontsize=8.8, ha="center", va="top", linespacing=1.4)
        if n:
            arrow = FancyArrowPatch(
                (x - gap + 0.03, 1.11), (x - 0.03, 1.11), arrowstyle="-|>", mutation_scale=11, color=MUTED
            )
            axes.add_patch(arrow)
    x = left + 2 * (width + gap) + width / 2
    axes.text(
        x, 2.1, "teacher: a large LLM, or the annotators", color=COLORS[1], fontsize=9.5, ha="center", va="center"
    )
    axes.add_patch(FancyArrowPatch((x, 1.95), (x, 1.5), arrowstyle="-|>", mutation_scale=11, color=COLORS[1]))
    x = left + 3.5 * (width + gap) + width / 2
    axes.text(x, 1.72, "student: a small LLM", color=COLORS[0], fontsize=9.5, ha="center", va="center")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Text stays text, and the same input gives the same bytes.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "kdb", "font.family": "sans-serif"})
    lines = (HERE / "sessions.jsonl").read_bytes().splitlines()
    sessions = {s.key: s for s in (msgspec.json.decode(line, type=Session) for line in lines)}
    for name, draw in (("session", lambda: draw_session(sessions[SHOWN])), ("pipe", draw_pipe)):
        draw()
        plt.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "pictures")
