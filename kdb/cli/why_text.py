"""The view of a session as text on stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import UnsetType

from kdb import console
from kdb.evaluation import titles
from kdb.evaluation.matched_session import bundle_text, intents
from kdb.records import Bundle, Item, Prediction, Session
from kdb.stages.why import RunView, SessionView

if TYPE_CHECKING:
    from rich.table import Table

Numbers = Mapping[str, int]
STATUS = {
    "ok": "none needed",
    "repaired": "the raw answer does not fit its format; the bundles above are what could be read from it",
    "failed": "no bundle could be read from the raw answer",
}


def show(view: SessionView) -> None:
    """Print the session, then each run's answer."""
    from rich.text import Text

    out = console.tables()
    numbers = {item.id: n for n, item in enumerate(view.items, 1)}
    split = f", {view.session.split}" if view.session and view.session.split else ""
    out.print(Text(f"Session {view.id} of {view.domain}{split}, {len(numbers)} items", "bold"))
    out.print(_items(view.items))
    if view.session is None:
        out.print("The titles are in the session records: pass them with --sessions.")
    for run_view in view.runs:
        prediction = run_view.prediction
        out.print(Text(f"\n{run_view.name} (run {prediction.run}): {prediction.status}", "bold"))
        out.print(_bundles(run_view, numbers))
        for name, lines in _parts(run_view).items():
            text = "\n  ".join(["", *lines] if len(lines) > 1 else lines)
            out.print(Text(f"{name}: ", "bold") + text, soft_wrap=True)


def _items(items: Sequence[Item]) -> Table:
    table = _table()
    for n, item in enumerate(items, 1):
        table.add_row(str(n), item.id, _line(item.title))
    return table


def _bundles(run_view: RunView, numbers: Numbers) -> Table:
    """The true bundles beside the predicted ones that are matched with them."""
    table = _table("true", "predicted", "Jaccard", "")
    true, said = intents(run_view.prediction.truth or []), intents(run_view.prediction.bundles)
    for match in run_view.matches:
        predicted = _line(bundle_text(match.predicted, said, numbers))
        table.add_row(
            _line(bundle_text(match.true, true, numbers)),
            predicted + _probability(match.predicted, run_view.prediction.bundles),
            f"{match.jaccard:.2f}" if match.true and match.predicted else "–",
            match.verdict if run_view.scores else "",
        )
    if not run_view.matches:
        table.add_row("–", "–", "–", "")
    return table


def _probability(items: Sequence[str], bundles: Sequence[Bundle]) -> str:
    """E.g. ` (p 0.83)`: how probable the predictor holds it that the bundle lies within a true one."""
    for bundle in bundles:
        if set(bundle.items) == set(items) and not isinstance(bundle.probability, UnsetType):
            return f" (p {bundle.probability:.2f})"
    return ""


def _parts(run_view: RunView) -> dict[str, list[str]]:
    """What stands below the bundles, by its name."""
    prediction = run_view.prediction
    left_out = f"{prediction.context_dropped} did not fit into the prompt"
    return {
        "score": [_score(run_view)],
        "demonstrations": [_demo(*pair) for pair in run_view.demos.items()] or ["none"],
        "knowledge": [
            f"{piece.format} {name}: {_line(piece.text)}" if piece else f"{name}: not in --kb"
            for name, piece in run_view.knowledge.items()
        ]
        or ["none"],
        **({"left out": [left_out]} if prediction.context_dropped else {}),
        "raw answer": [_line(line) for line in prediction.raw.splitlines()] or ["none recorded"],
        "repairs": [STATUS[prediction.status]],
        "cost": [_cost(prediction)],
    }


def _score(run_view: RunView) -> str:
    if run_view.scores is None:
        return "none: the session is not annotated"
    names = titles("quality")
    shown = {name: "–" if value is None else f"{value:.3f}" for name, value in run_view.scores.items()}
    shown["exact"] = "yes" if run_view.scores["exact"] else "no"
    return ", ".join(f"{names[name]} {value}" for name, value in shown.items())


def _demo(identity: str, session: Session | None) -> str:
    if session is None:
        return f"{identity}: not in --kb"
    items = "; ".join(f"{n} {_line(item.title)}" for n, item in enumerate(session.items, 1))
    numbers = {item.id: n for n, item in enumerate(session.items, 1)}
    truth = [f"[{_line(bundle_text(b.items, intents([b]), numbers))}]" for b in session.truth or []]
    return f"{identity} of {session.domain}: {items} → {' '.join(truth) or 'no bundle'}"


def _cost(prediction: Prediction) -> str:
    usage = prediction.usage
    paid = f", {usage.cost:.6f} US dollars" if usage.cost is not None else ""
    tokens = f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} tokens out"
    return f"{tokens}, {prediction.seconds:.3f} seconds{paid}"


def _line(text: str) -> str:
    """Text on one line, without what could steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _table(*head: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD if head else None, show_header=bool(head), pad_edge=bool(head))
    for name in head or ("", "", ""):
        table.add_column(Text(name), overflow="fold", justify="right" if name == "Jaccard" else "left")
    return table
