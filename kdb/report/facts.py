"""What was measured, on what and with what: the facts on top, and what the runs differ in at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from kdb.evaluation.families import tags
from kdb.records import ImportInfo, Run
from kdb.report.factors import Settings
from kdb.report.results import Results
from kdb.report.sentences import teachers
from kdb.report.tables import Table, row

UNKNOWN = (
    "unknown: the records do not say how the sessions were imported; give kdb eval the session records too, "
    "or state it with kdb report --note"
)
UNTITLED = {
    "none": "every item has a title",
    "drop": "{items:,} items without a title in {sessions:,} sessions were left out, which makes the task easier",
    "keep": "{items:,} items without a title in {sessions:,} sessions were kept, which gives answers away: A LEAK",
}
TRUTH = {"minimal": "minimal bundles of each session", "raw": "all annotated bundles"}


def facts(results: Results, runs: Mapping[str, Run], records_hash: str, stated: bool) -> dict[str, str]:
    """Data, sessions, split, teacher, student, seeds and hash; `stated`: a person says how the data were made."""
    ways = list(dict.fromkeys(way for metric in results.metrics.values() for way in metric.imported))
    sessions, bundles = results.sizes
    settings = [one.settings for one in results.recipes]
    students = dict.fromkeys(str(its["student"]).rpartition("/")[2] for its in settings if its.get("student"))
    seeds = dict.fromkeys(
        _seed(runs[run]) for one in results.recipes for run in (one.seeds or (one.run,)) if run in runs
    )
    found = {
        "data": "; ".join(filter(None, map(_data, ways))) or ("" if stated else UNKNOWN),
        "sessions": f"{sessions:,}" + (f", with {bundles:,} true bundles" if bundles else ""),
        "truth": "; ".join(dict.fromkeys(TRUTH[way.truth] for way in ways if way.truth)),
        "split": "; ".join(dict.fromkeys(way.split for way in ways if way.split)),
        "teacher": ", ".join(teachers(results)),
        "student": ", ".join(students),
        "seeds": ", ".join(seeds),
        "runs": f"{len(results.recipes)}",
        "records": records_hash,
    }
    return {name: value for name, value in found.items() if value}


def _seed(run: Run) -> str:
    """The seed that a grid declares, else that of the training, else that of the run itself."""
    training = run.settings.get("training") if run.settings.get("adapter") else None
    return tags(run.settings).get("seed") or str((training or {}).get("seed", run.seed))


def _data(way: ImportInfo) -> str:
    parts = [
        f"{way.source} (hash {way.hash})" if way.source else "",
        f"titles that are missing come from {way.titles}" if way.titles else "",
        UNTITLED.get(way.untitled, "").format(items=way.untitled_items, sessions=way.untitled_sessions),
    ]
    return ", ".join(filter(None, parts))


def provenance(domains: Sequence[Results], runs: Mapping[str, Run]) -> list[Table]:
    """What all runs share that have it, and for each run what differs."""
    recipes = {run: one for results in domains for one in results.recipes for run in (one.seeds or (one.run,))}
    names = {run: one.name for run, one in recipes.items()}
    found = {run: dict(_facts(one.settings, runs.get(run))) for run, one in recipes.items()}
    for run, record in runs.items():
        if run not in found:
            names[run], found[run] = record.command, dict(_facts(record.settings, record))
    values: dict[str, list[str]] = {}
    for one in found.values():
        for key, value in one.items():
            values.setdefault(key, []).append(value)
    shared = {key: its[0] for key, its in values.items() if len(set(its)) == 1 and len(its) > 1}
    rows = [
        row(names[run], run, "; ".join(f"{k} {v}" for k, v in one.items() if k not in shared))
        for run, one in found.items()
    ]
    same = [row(name, value) for name, value in shared.items()]
    tables = [
        Table("provenance", "What the runs differ in", ["run", "id", "differs in"], rows, names=3),
        Table("shared", "The same in all runs that have it", ["", ""], same, names=2),
    ]
    return [table for table in tables if table.rows]


def _facts(settings: Settings, run: Run | None) -> Iterator[tuple[str, str]]:
    for name, value in _flat(settings):
        if name != "name" and value not in ("", "{}", "[]"):
            yield name, value
    if run:
        yield "command", run.command
        yield "seed", str(run.seed)
        yield from ((f"hash of {name}", value) for name, value in run.inputs.items())
        yield from ((f"version of {name}", version) for name, version in run.versions.items())


def _flat(settings: Settings, prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
