"""Records of version 1, as kdb 0.1 wrote them, in the fields and names of version 2."""

from __future__ import annotations

from typing import Any

from kdb.records.base import SCHEMA_VERSION

FIELDS = {
    "knowledge": {"first_round": "first_attempt", "first_rounds": "first_attempts", "prompt": "prompt_hash"},
    "prediction": {"left_out": "context_dropped"},
    "metric": {"by": "slice"},
}
"""By kind: old and new names of fields."""

SETTINGS = {
    "neighbours": "retrieval",
    "target": "thoughts",
    "objective": "utility",
    "evidence": "pair_features",
    "vote": "aggregate",
    "free": "unconstrained",
}
"""Old and new names of settings, in the records of runs and metrics."""

VALUES: dict[str, dict[Any, Any]] = {
    "thoughts": {"answer": "none", "thought+answer": "first", "both": "auxiliary"},
    "baseline": {"patterns": "pattern-matching", "posterior": "partition-crf-frozen"},
}
"""By setting: old and new values."""


CHANGED = {*FIELDS, "run"}
"""The kinds of which version 1 differs."""


def upgrade(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record of version 1, or of this version, as this version names them."""
    names = FIELDS.get(kind, {})
    data = {names.get(name, name): value for name, value in data.items()}
    if kind in ("run", "metric") and isinstance(settings := data.get("settings"), dict):
        data["settings"] = _settings(settings)
        if data.get("v") == 1 and settings.get("answer") == "pairs" and not settings.get("adapter"):
            data["settings"]["fits_kb"] = True  # weighs pair features by the sessions of --kb
    if isinstance(data.get("v", 1 if kind in CHANGED else None), int):
        data["v"] = SCHEMA_VERSION
    return data


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    renamed = {SETTINGS.get(name, name): value for name, value in settings.items()}
    for name, values in VALUES.items():
        if isinstance(value := renamed.get(name), str):
            renamed[name] = values.get(value, value)
    return renamed
