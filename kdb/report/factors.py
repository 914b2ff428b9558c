"""What a run was meant to show: the factors that the grid declares as tags, or else those in its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdb.evaluation.families import is_baseline
from kdb.evaluation.families import tags as tags_of
from kdb.records import SHOWN_AS

UTILIZATIONS = ("zero-shot", "ICL", "adaptive ICL", "SFT", "SFT + ICL", "SFT + adaptive ICL")
NONE = "none"
ALL = "100 %"

Settings = Mapping[str, Any]
Factors = dict[str, str]
_NOT_FACTORS = ("seed", "timing", "chosen")
"""Tags that say how a run was made, not what it differs in."""


def factors(settings: Settings) -> Factors:
    """What was chosen for this run; a factor that does not apply to it is absent.

    Tags win over settings, which older records have alone. Empty for predictions without a `run` record.
    """
    tags = {k: v for k, v in tags_of(settings).items() if k not in _NOT_FACTORS}
    if is_baseline(settings):
        found = {"baseline": str(settings["baseline"]), **_utility(settings), **_quantity(settings.get("kb") or {})}
        return {**found, **tags}
    return {**_of_student(settings), **tags} if settings.get("student") else tags


def _of_student(settings: Settings) -> Factors:
    answer = str(settings.get("answer", ""))
    demos = settings.get("demos", 0)
    shown = 2 if demos and settings.get("corrections") else bool(demos)
    found = {"student": _last(settings["student"]), "answer": answer, **_utility(settings)}
    if not settings.get("pair_features", True):
        found["pair features"] = NONE
    if settings.get("unconstrained"):
        found["grammar"] = NONE
    if demos:
        found["demonstrations"] = str(demos)
    found["utilization"] = UTILIZATIONS[3 * bool(settings.get("adapter")) + shown]
    source = settings.get("trained") if settings.get("adapter") else settings.get("kb")
    found["format"] = _formats(settings)
    return {**found, **_quantity(source or {})}


def _utility(settings: Settings) -> Factors:
    utility = str(settings.get("utility", ""))
    return {"utility": utility} if utility not in ("", "f1") else {}


def _formats(settings: Settings) -> str:
    """The formats that the prompt shows or, for thoughts and labels, that were learnt."""
    known = (settings.get("kb") or {}).get("knowledge") or (settings.get("trained") or {}).get("knowledge") or {}
    wanted = [name for name in settings.get("formats") or SHOWN_AS if name in known]
    is_shown = bool(settings.get("knowledge"))
    learns_thoughts = settings.get("thoughts", NONE) != NONE
    source = settings.get("trained") if settings.get("adapter") else settings.get("kb")
    learnt = {"demonstration": learns_thoughts, "target": bool((source or {}).get("labelled"))}
    shown = {"context": is_shown, "demonstration": is_shown}
    used = [name for name in wanted if learnt.get(kind := SHOWN_AS.get(name, "")) or shown.get(kind)]
    return " + ".join(name for name in SHOWN_AS if name in used) or NONE


def _quantity(source: Settings) -> Factors:
    """How much labelled data was drawn on, and by which strategy; all of it is the same by any strategy."""
    if not source.get("sessions") and not source.get("knowledge"):
        return {}
    stamp = source.get("selected") or {}
    if amount := stamp.get("amount"):
        quantity = f"{100 * amount:g} %" if isinstance(amount, float) else str(amount)
    elif "count" in stamp or "tokens" in stamp:
        unit = "count" if "count" in stamp else "tokens"
        quantity = f"{stamp[unit]} {'tokens' if unit == 'tokens' else stamp.get('of', '')}".strip()
    else:
        quantity = f"{100 * stamp.get('ratio', 1.0):g} %"
    if quantity == ALL:
        return {"quantity": ALL}
    how = [str(stamp.get("strategy", "")), str(stamp.get("prefer", ""))]
    of = " of knowledge" if stamp.get("of") == "knowledge" else ""
    return {"strategy": " ".join(filter(None, how)) + of, "quantity": quantity}


def sessions_drawn_on(settings: Settings) -> int | None:
    """How many labelled sessions a run learnt from or looked up; None where that is not recorded."""
    source = settings.get("trained") if settings.get("adapter") else settings.get("kb")
    return (source or {}).get("sessions")


def _last(path: object) -> str:
    return str(path).rstrip("/").rpartition("/")[2]
