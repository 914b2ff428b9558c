"""What to call a run: the name that it was given, its baseline, or what it did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kdb.evaluation.families import SEED, name_of, tags
from kdb.records import Metric


def label(settings: Mapping[str, Any]) -> str:
    """A run in few words; empty for predictions that came without a `run` record."""
    if name := name_of(settings):
        return name
    if not settings.get("student"):
        return ""
    learns = "SFT" if settings.get("adapter") else ""
    looks_up = "ICL" if settings.get("demos") or settings.get("knowledge") else ""
    looks_up = "adaptive ICL" if settings.get("corrections") else looks_up
    utilization = " + ".join(filter(None, (learns, looks_up))) or "zero-shot"
    return f"{str(settings['student']).rstrip('/').rpartition('/')[2]}, {utilization}"


def labels(metrics: Iterable[Metric]) -> dict[str, str]:
    """A label for each run, in the order of the metrics; its seed or the start of its id tells equal ones apart."""
    first = {metric.run: metric for metric in metrics}
    plain = {run: label(metric.settings) or run[:8] for run, metric in first.items()}
    for metric in first.values():
        for run in metric.seeds:  # the name itself is that of all seeds together
            plain[run] = f"{plain[run]}, seed {tags(first[run].settings)[SEED]}"
    texts = list(plain.values())
    return {run: text if texts.count(text) == 1 else f"{text} {run[:8]}" for run, text in plain.items()}


def without_shared(names: Mapping[str, str], runs: Iterable[str]) -> tuple[dict[str, str], str]:
    """The names without the parts between commas that all of these runs share, and these parts."""
    parts = {run: name.split(", ") for run, name in names.items()}
    several = [parts[run] for run in runs if len(parts[run]) > 1]
    shared = [part for part in several[0] if all(part in own for own in several)] if len(several) > 1 else []
    short = {run: ", ".join(part for part in own if part not in shared) for run, own in parts.items()}
    if not shared or "" in short.values() or len(set(short.values())) < len(short):
        return dict(names), ""
    return short, ", ".join(shared)
