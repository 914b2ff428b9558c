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
    utilization = " + ".join(filter(None, (learns, looks_up))) or "zero-shot"
    return f"{str(settings['student']).rstrip('/').rpartition('/')[2]}, {utilization}"


def labels(metrics: Iterable[Metric]) -> dict[str, str]:
    """A label for each run, in the order of the metrics; its seed or the start of its id tells equal ones apart."""
    settings = {metric.run: metric.settings for metric in metrics}
    plain = {run: label(its) or run[:8] for run, its in settings.items()}
    for same in (list(plain.values()) for _ in range(2)):  # by seed, then by id
        for run, text in plain.items():
            if same.count(text) > 1:
                seed = tags(settings[run]).get(SEED)
                plain[run] = (
                    f"{text}, seed {seed}" if seed and f", seed {seed}" not in text else f"{text} {run[:8]}"
                )
    return plain


def without_shared(names: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The names without the parts between commas that all names of several parts share, and these parts."""
    parts = {run: name.split(", ") for run, name in names.items()}
    several = [own for own in parts.values() if len(own) > 1]
    shared = [part for part in several[0] if all(part in own for own in several)] if len(several) > 1 else []
    short = {run: ", ".join(part for part in own if part not in shared) for run, own in parts.items()}
    if not shared or "" in short.values() or len(set(short.values())) < len(short):
        return dict(names), ""
    return short, ", ".join(shared)
