"""The tables of the README, from what `make reproduce` measured.

    python samples/results_tables.py out > tables.md

OUT holds `test/records.jsonl` and `validation/records.jsonl`, as `kdb report` leaves them.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from kdb import stream
from kdb.evaluation import titles
from kdb.report.blocks import p_value, signed
from kdb.report.results import MAIN, Results, collect

SHOWN = ("precision", "recall", "coverage", "matched_f1")
FORMATS = ("patterns", "rules", "thoughts", "all formats")
BY_FORMAT = {
    way: (plain, *(f"{way}, {name}" for name in FORMATS))
    for way, plain in {
        "zero-shot": "zero-shot",
        "ICL with 1": "ICL with 1, no knowledge",
        "SFT on 10 %": "SFT, random 10 %",
        "SFT + ICL on 10 %": "SFT + ICL on 10 %, no knowledge",
    }.items()
}
"""The runs of each way to use knowledge: without any, then by format."""
NO_SUCH = "zero-shot, thoughts"
"""Thoughts stand in demonstrations."""
RATIOS = ("10 %", "25 %", "50 %", "75 %")
BY_RATIO = {name: (*(f"SFT, {name} {ratio}" for ratio in RATIOS), "SFT") for name in ("random", "diversity")}
"""The runs of each strategy, by ratio; all of the data is the same for any."""
NOT_RUN = "not run"


def read(file: Path) -> list[Results]:
    """The results by domain; none where there is no such file."""
    return collect(stream.read([file], ("metric", "comparison"))) if file.exists() else []


def tables(out: Path) -> Iterator[str]:
    """Each table, a split and a domain after the other."""
    for split in ("test", "validation"):
        for results in read(out / split / "records.jsonl"):
            names = [str(results.settings(run)["name"]) for run in results.runs]
            elsewhere = {name for rows in (BY_FORMAT, BY_RATIO) for its in rows.values() for name in its}
            elsewhere -= {"SFT", "zero-shot"}
            yield _main(results, [name for name in names if name not in elsewhere])
            for head, rows in (
                (["matched F1", "no knowledge", *FORMATS], BY_FORMAT),
                (["matched F1 of SFT", *RATIOS, "100 %"], BY_RATIO),
            ):
                run = {
                    row: its for row, its in rows.items() if len({*its} & {*names}) > 1
                }  # one alone compares nothing
                if run:
                    yield _table(head, [[row, *(_f1(results, name) for name in its)] for row, its in run.items()])


def _run(results: Results, name: str) -> str | None:
    return next((run for run in results.runs if results.settings(run).get("name") == name), None)


def _main(results: Results, names: list[str]) -> str:
    head = ["run", *(titles("quality")[key] for key in SHOWN), "matched F1 − best baseline"]
    return _table(head, [[name, *_cells(results, run)] for name in names if (run := _run(results, name))])


def _cells(results: Results, run: str) -> list[str]:
    values = [_value(results.value(run, key), results.interval(run, key)) for key in SHOWN]
    best = results.best_baseline
    gain = results.difference(run, best, MAIN) if best and best != run else None
    told = f"{signed(gain[0])} ({p_value(gain[1])})" if gain else "best baseline" if run == best else "–"
    return [*values, told]


def _f1(results: Results, name: str) -> str:
    run = _run(results, name)
    if run is None:
        return "–" if name == NO_SUCH else NOT_RUN
    return _value(results.value(run, MAIN), results.interval(run, MAIN))


def _value(value: float | None, bounds: list[float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" [{bounds[0]:.2f}, {bounds[1]:.2f}]" if bounds else "")


def _table(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] * len(head)
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, rule, *rows])


if __name__ == "__main__":
    print("\n".join(tables(Path(sys.argv[1]))), end="")
