"""What a run was meant to show: its place in the three questions, read from the settings that it recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kdb.records import Metric

UTILIZATIONS = ("zero-shot", "ICL", "SFT", "SFT + ICL")
FORMATS = ("pattern", "rule", "thought")

Settings = Mapping[str, Any]
Factors = dict[str, str]


def factors(settings: Settings) -> Factors:
    """What was chosen for this run of a student; a factor that does not apply to it is absent.

    Empty for a baseline, and for predictions that came without a `run` record of `kdb infer`.
    """
    if settings.get("baseline") or not settings.get("student"):
        return {}
    answer = str(settings.get("answer", ""))
    demos, knowledge = settings.get("demos", 0), settings.get("knowledge", 0)
    found = {"student": _last(settings["student"]), "answer": answer}
    if answer == "pairs":
        found["objective"] = str(settings.get("objective", ""))
        found["evidence"] = "with" if settings.get("evidence") else "without"
    if settings.get("target", "answer") != "answer":
        found["target"] = str(settings["target"])
    if settings.get("free"):
        found["grammar"] = "none"
    if demos:
        found["demonstrations"] = str(demos)
    if knowledge:
        found["pieces shown"] = str(knowledge)
    found["utilization"] = UTILIZATIONS[2 * bool(settings.get("adapter")) + bool(demos or knowledge)]
    return found if found["utilization"] == "zero-shot" else {**found, **_source(settings)}


def _source(settings: Settings) -> Factors:
    """Format and quantity of what was learnt from or, without an adapter, looked up."""
    looked_up, trained = settings.get("kb") or {}, settings.get("trained") or {}
    used = _formats(settings, looked_up.get("knowledge") or trained.get("knowledge") or {})
    found = {"format": " + ".join(f for f in FORMATS if f in used) or "none"}
    drawn_on = trained if settings.get("adapter") else looked_up
    if not drawn_on.get("sessions") and not drawn_on.get("knowledge"):
        return found  # not recorded
    if drawn_on.get("domains"):
        found["domains"] = " + ".join(drawn_on["domains"])
    return found | _quantity(drawn_on.get("selected") or {})


def _formats(settings: Settings, known: Iterable[str]) -> set[str]:
    """The formats that were put to use, of those that were known: shown, or thoughts that were to be learnt."""
    wanted = set(settings.get("formats") or FORMATS) & set(known)
    shown = bool(settings.get("knowledge"))
    learnt = settings.get("target", "answer") != "answer"
    return {name for name in wanted if shown or (learnt and name == "thought")}


def _quantity(stamp: Settings) -> Factors:
    """Strategy and quantity as `kdb select` stamped them; all of it is the same by any strategy."""
    ratio = stamp.get("ratio", 1.0)
    if "count" in stamp or "tokens" in stamp:
        unit = "count" if "count" in stamp else "tokens"
        quantity = f"{stamp[unit]} {'tokens' if unit == 'tokens' else stamp.get('of', '')}".strip()
    elif ratio >= 1:
        return {"quantity": "100 %"}
    else:
        quantity = f"{100 * ratio:g} %"
    how = [str(stamp.get("strategy", "")), str(stamp.get("prefer", ""))]
    of = " of knowledge" if stamp.get("of") == "knowledge" else ""
    return {"strategy": " ".join(filter(None, how)) + of, "quantity": quantity}


def label(settings: Settings) -> str:
    """A run in few words: the name that it was given, or else what it was."""
    if named := settings.get("name") or settings.get("baseline"):
        return str(named)
    found = factors(settings)
    if " + " not in found.get("domains", ""):
        found.pop("domains", None)  # of one domain: most often the one that is predicted
    shown = ("student", "utilization", "format", "domains", "strategy", "quantity")
    parts = [found[name] for name in shown if found.get(name) not in (None, "none", "100 %")]
    return ", ".join(parts)


def labels(metrics: Iterable[Metric]) -> dict[str, str]:
    """A label for each run, in the order of the metrics; the start of its id tells two of the same apart."""
    settings = {metric.run: metric.settings for metric in metrics}
    plain = {run: label(its) or run[:8] for run, its in settings.items()}
    texts = list(plain.values())
    return {run: text if texts.count(text) == 1 else f"{text} {run[:8]}" for run, text in plain.items()}


def _last(path: object) -> str:
    return str(path).rstrip("/").rpartition("/")[2]
