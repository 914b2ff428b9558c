"""What the runs were made with: what all share that have it, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from kdb.records import Run
from kdb.report.blocks import Block, Cell, Heading, Table, Text
from kdb.report.factors import Settings
from kdb.report.results import Results

Facts = dict[str, str]
OF_ONE_RUN = ("baseline", "adapter")
"""What is said of each run by itself, even where only one has it."""


def provenance(domains: Sequence[Results], runs: Mapping[str, Run]) -> list[Block]:
    """Settings, seeds, versions and hashes of all runs, and of the trainings among the records."""
    labels = {run: text for results in domains for run, text in results.labels.items()}
    facts = {run: _facts(results.settings(run), runs.get(run)) for results in domains for run in results.runs}
    unrecorded = [labels[run] for run in facts if run not in runs]
    for run, record in runs.items():
        if run not in facts:
            labels[run], facts[run] = record.command, _facts(record.settings, record)
    shared, differing = _split(list(facts.values()))
    ids = [
        [Cell(labels[run]), Cell(run), *(Cell(its.get(name, "–")) for name in differing)]
        for run, its in facts.items()
    ]
    blocks: list[Block] = [
        Heading("Settings, versions and hashes"),
        Table(["run", "id", *differing], ids, names=2 + len(differing)),
        Table(["the same in all runs that have it", ""], [[Cell(k), Cell(v)] for k, v in shared.items()], names=2),
    ]
    if unrecorded:
        text = "Versions and hashes stand in run records, which begin the files of predictions; there is none for"
        blocks.append(Text([f"{text} {', '.join(unrecorded)}."]))
    return blocks


def _facts(settings: Settings, run: Run | None) -> Facts:
    found = {name: value for name, value in _flat(settings) if name != "name" and value not in ("", "{}")}
    if run is None:
        return found
    hashes = {f"hash of {name}": value for name, value in run.inputs.items()}
    versions = {f"version of {name}": version for name, version in run.versions.items()}
    return {**found, "command": run.command, "seed": str(run.seed), **hashes, **versions}


def _flat(settings: Settings, prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _split(facts: Sequence[Facts]) -> tuple[Facts, list[str]]:
    """What has one value wherever it stands, and the names of the rest."""
    values: dict[str, list[str]] = {}
    for one in facts:
        for name, value in one.items():
            values.setdefault(name, []).append(value)
    shared = {k: v[0] for k, v in values.items() if len(set(v)) == 1 and k not in OF_ONE_RUN}
    return shared, [name for name in values if name not in shared]
