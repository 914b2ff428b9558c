"""The tables of the README, from what `make reproduce` measured.

    python samples/results_tables.py out > tables.md

OUT holds `test/records.jsonl` and `validation/records.jsonl`, as `kdb report` leaves them.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from kdb import stream
from kdb.report.blocks import p_value, signed
from kdb.report.results import MAIN, Results, collect
from kdb.scoring.metric_names import QUALITY

SHOWN = ("precision", "recall", "coverage", "matched_f1")
BASELINES = ("whole-session", "all-pairs", "clusters", "patterns", "pair-classifier", "posterior")
WAYS = ("ICL", "SFT", "SFT + ICL")
MORE = ("SFT, precision", "SFT, chosen on validation", "zero-shot, pairs", "ICL, pairs")
FORMATS = ("patterns", "rules", "thoughts", "all formats")
STRATEGIES = ("random", "diversity")
RATIOS = (10, 25, 50, 75)
NOT_RUN = "not run"


def read(file: Path) -> list[Results]:
    """The results by domain; none where there is no such file."""
    return collect(stream.read([file], ("metric", "comparison"))) if file.exists() else []


def tables(out: Path) -> Iterator[str]:
    """Each table, a domain after the other."""
    for results in read(out / "test" / "records.jsonl"):
        yield _main(results, [*BASELINES, "posterior, precision", "zero-shot", *WAYS, *MORE])
        rows = [[way, *(_f1(results, name) for name in (way, *(f"{way}, {f}" for f in FORMATS)))] for way in WAYS]
        yield _table(["matched F1", "no knowledge", *FORMATS], rows)
        ratios = [f"{ratio} %" for ratio in RATIOS]
        rows = [
            [s, *(_f1(results, name) for name in (*(f"SFT, {s} {r}" for r in ratios), "SFT"))] for s in STRATEGIES
        ]
        yield _table(["matched F1 of SFT", *ratios, "100 %"], rows)
    for results in read(out / "validation" / "records.jsonl"):
        yield _main(results, [str(results.settings(run)["name"]) for run in results.runs])


def _run(results: Results, name: str) -> str | None:
    return next((run for run in results.runs if results.settings(run).get("name") == name), None)


def _main(results: Results, names: list[str]) -> str:
    head = ["run", *(QUALITY[key] for key in SHOWN), "matched F1 − best baseline"]
    return _table(head, [[name, *_cells(results, _run(results, name))] for name in names])


def _cells(results: Results, run: str | None) -> list[str]:
    if run is None:
        return [NOT_RUN] + [""] * len(SHOWN)
    values = [_value(results.value(run, key), results.interval(run, key)) for key in SHOWN]
    best = results.best_baseline
    gain = results.difference(run, best, MAIN) if best and best != run else None
    told = f"{signed(gain[0])} ({p_value(gain[1])})" if gain else "best baseline" if run == best else "–"
    return [*values, told]


def _f1(results: Results, name: str) -> str:
    run = _run(results, name)
    return _value(results.value(run, MAIN), results.interval(run, MAIN)) if run else NOT_RUN


def _value(value: float | None, bounds: list[float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" [{bounds[0]:.2f}, {bounds[1]:.2f}]" if bounds else "")


def _table(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] * len(head)
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, rule, *rows])


if __name__ == "__main__":
    print("\n".join(tables(Path(sys.argv[1]))), end="")
