"""Runs on an invented shop, as `kdb infer` writes them: settings of a grid, predictions of known quality."""

import random
from pathlib import Path

import msgspec

from kdb.records import Bundle, Item, Prediction, Run, Session, Usage

SHOP = "shop & <i>co</i>"
STUDENT = {"student": "/models/tiny", "answer": "list", "demos": 0, "knowledge": 0, "adapter": ""}
ALL = {"sessions": 20, "validation": 4, "domains": ["shop"], "teachers": ["annotations"]}
TRUE = ("ab", "cd")


def tuned(**kb: object) -> dict:
    """The settings of a run with an adapter that was trained on this."""
    return {**STUDENT, "adapter": "abc", "trained": {"run": "t", **ALL, **kb}}


def drawn(strategy: str, ratio: float) -> dict:
    """The same, trained on a part of the sessions."""
    selected = {"of": "sessions", "strategy": strategy, "ratio": ratio, "seed": 0}
    return tuned(selected=selected, sessions=int(20 * ratio))


def shown(**more: object) -> dict:
    """The settings of a run that is shown demonstrations."""
    return {**STUDENT, "demos": 3, "kb": ALL, **more}


def tagged(settings: dict, **tags: str) -> dict:
    """The settings with what a grid declares."""
    return {**settings, "tags": tags}


def _part(strategy: str, ratio: float) -> dict:
    tags = {"strategy": strategy, "quantity": f"{100 * ratio:g} %"}
    return tagged(drawn(strategy, ratio), utilization="SFT", format="none", **tags)


def _knowing(format: str) -> dict:
    known = {**_part("random", 0.3), "knowledge": 2, "kb": {"knowledge": {format: 5}}}
    return {**known, "tags": {**known["tags"], "format": format}}


GRID: list[tuple[dict, float]] = [  # settings, and how often a true bundle is found
    ({"baseline": "all-pairs"}, 0.2),
    ({"baseline": "clusters"}, 0.3),
    (tagged({**STUDENT, "name": "zero-shot"}, utilization="zero-shot", format="none"), 0.1),
    (tagged(shown(name="ICL"), utilization="ICL", format="none", quantity="100 %"), 0.25),
    (
        tagged(
            shown(knowledge=2, kb={**ALL, "knowledge": {"pattern": 9}}),
            utilization="ICL",
            format="pattern",
            quantity="100 %",
        ),
        0.4,
    ),
    (
        tagged(
            shown(knowledge=2, kb={**ALL, "knowledge": {"thought": 9, "rule": 4}}),
            utilization="ICL",
            format="rule + thought",
            quantity="100 %",
        ),
        0.45,
    ),
    (tagged({**tuned(), "name": "SFT"}, utilization="SFT", format="none", quantity="100 %"), 0.95),
    (
        tagged(
            {**tuned(), "demos": 3, "kb": ALL, "name": "best | of <all>"},
            utilization="SFT + ICL",
            format="none",
            quantity="100 %",
        ),
        0.6,
    ),
    *((_part("random", r), 0.3 + 0.4 * r) for r in (0.1, 0.3, 0.5)),
    *((_part("diversity", r), 0.5 + 0.2 * r) for r in (0.1, 0.5)),
    *((_knowing(format), 0.5) for format in ("pattern", "rule")),
]


def run_lines(number: int, settings: dict, quality: float, sessions: int = 40) -> list[bytes]:
    """A run on sessions of two true bundles each."""
    rng = random.Random(number)
    run = Run(id=f"run{number:02}", command="infer", settings=settings, seed=0, versions={"kdb": "0.1.0"})
    run.inputs = {"kb": "0123456789abcdef"}
    run.measured = {} if "baseline" in settings else {"parameters": 1000}
    records: list[object] = [run]
    for session in range(sessions):
        found = [ids for ids in TRUE if rng.random() < quality] or ["ac"]
        records.append(
            Prediction(
                id=str(session),
                domain=SHOP,
                items=list("abcde"),
                bundles=[Bundle(list(ids), f"an intent of {ids}") for ids in found],
                status="ok",
                run=run.id,
                truth=[Bundle(list(ids), f"the intent of {ids}") for ids in TRUE],
                seconds=0.001 * (number + 1),
                usage=Usage(0 if "baseline" in settings else 300 + number, 20),
            )
        )
    return [msgspec.json.encode(record) for record in records]


def session_lines(sessions: int = 40) -> list[bytes]:
    """The sessions themselves, with titles."""
    items = [Item(id=name, title=f"Thing {name.upper()} <b>") for name in "abcde"]
    bundles = [Bundle(list(ids), f"the intent of {ids}") for ids in TRUE]
    made = [Session(id=str(n), domain=SHOP, items=items, split="test", bundles=bundles) for n in range(sessions)]
    return [msgspec.json.encode(record) for record in made]


def write_grid(folder: Path, kdb, grid: list[tuple[dict, float]] = GRID) -> tuple[Path, Path]:
    """The files with the metrics and with the predictions and sessions of a grid."""
    predictions, metrics = folder / "predictions.jsonl", folder / "metrics.jsonl"
    lines = [line for n, (settings, quality) in enumerate(grid) for line in run_lines(n, settings, quality)]
    predictions.write_bytes(b"\n".join([*lines, *session_lines()]) + b"\n")
    scored = kdb("eval", "--by", "length", predictions)
    assert scored.code == 0, scored.stderr
    metrics.write_bytes(scored.out)
    return metrics, predictions


def plain(cell: str) -> str:
    """A cell of a Markdown table without escapes, with an ASCII minus."""
    return cell.replace("\\", "").replace("−", "-").replace("&lt;", "<")
