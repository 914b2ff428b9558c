"""Labels as what is learnt from: a teacher's bundles of sessions that nobody annotated, and how much they count.

A label is learnt from with its confidence as the weight of its session, 1 where one answer alone was asked for. An
annotated session keeps its annotation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UnsetType

from kdb import console
from kdb.records import Knowledge, Session, SessionKey

Labels = Mapping[SessionKey, Knowledge]
"""The labels that stand for annotations, by the domain and the id of their session."""
MIN_ANNOTATED = 30
"""From so many annotated sessions on, they alone say what labels cannot: see `trusted`."""


def weight_of(session: Session, labels: Labels) -> float:
    """How much a session counts: 1 if it is annotated, else the confidence of its label."""
    label = labels.get(session.key)
    return 1.0 if label is None else confidence(label)


def confidence(label: Knowledge) -> float:
    """How far the answers behind a label agree; 1 where there is one answer alone."""
    return 1.0 if isinstance(label.confidence, UnsetType) else label.confidence


def trusted(sessions: Sequence[Session], labels: Labels) -> list[int]:
    """The numbers of the sessions to fit a few weights to: the annotated ones if they are enough, else all."""
    annotated = [n for n, session in enumerate(sessions) if session.key not in labels]
    return annotated if len(annotated) >= MIN_ANNOTATED else list(range(len(sessions)))


def pair_shares(session: Session, labels: Labels) -> dict[tuple[str, str], float] | None:
    """The share of the answers in which two items stand together; None where the bundles say all there is."""
    label = labels.get(session.key)
    if label is None or isinstance(label.pair_shares, UnsetType):
        return None
    return {(a, b): share for a, b, share in label.pair_shares}


def usable(
    sessions: Iterable[Session], labels: Iterable[Knowledge], min_confidence: float
) -> dict[SessionKey, Knowledge]:
    """The labels of confidence `min_confidence` or more of those sessions that are not annotated.

    Of several labels of a session the surest counts, of equals the first. What is left out is counted by reason and
    said in one line.
    """
    known = {session.key: session for session in sessions}
    found: dict[SessionKey, Knowledge] = {}
    faults: Counter[str] = Counter()
    for label in labels:
        key = key_of(label)
        session = known.get(key)
        if fault := _fault(label, session, min_confidence):
            faults[fault] += 1
        elif key in found:
            faults["of sessions that have a surer one"] += 1
            found[key] = max(found[key], label, key=confidence)
        else:
            found[key] = label
    if faults:
        console.say(f"labels left out: {', '.join(f'{count} {fault}' for fault, count in sorted(faults.items()))}")
    return found


def key_of(label: Knowledge) -> SessionKey:
    """The session that a label is about."""
    return label.domain, label.source.sessions[0] if len(label.source.sessions) == 1 else ""


def by_teacher(labels: Iterable[Knowledge]) -> dict[str, dict[str, Any]]:
    """How many labels each teacher gave, and their mean confidence where they have one."""
    found: dict[str, list[Knowledge]] = {}
    for label in labels:
        found.setdefault(label.teacher, []).append(label)
    return {teacher: _summary(own) for teacher, own in sorted(found.items())}


def _summary(labels: Sequence[Knowledge]) -> dict[str, Any]:
    said = [label.confidence for label in labels if not isinstance(label.confidence, UnsetType)]
    mean = {"mean_confidence": round(sum(said) / len(said), 6)} if said else {}
    return {"sessions": len(labels), **mean}


def labelled(session: Session, labels: Labels) -> Session:
    """The session with the bundles of its label, or as it is where there is none."""
    label = labels.get(session.key)
    return session if label is None else msgspec.structs.replace(session, bundles=label.bundles)


def _fault(label: Knowledge, session: Session | None, min_confidence: float) -> str:
    """Why nothing is learnt from a label; empty where it is."""
    if session is None:
        return "of sessions that are not in the input"
    if session.truth is not None:
        return "of annotated sessions"
    if fault := misfit(label, session):
        return fault
    if not confidence(label):
        return "without any agreement"
    return f"with a confidence below {min_confidence:g}" if confidence(label) < min_confidence else ""


def misfit(piece: Knowledge, session: Session) -> str:
    """Why the bundles of a label or a correction are none of its session; empty where they are."""
    if isinstance(piece.bundles, UnsetType):
        return "without bundles"
    known = {item.id for item in session.items}
    for bundle in piece.bundles:
        own = set(bundle.items)
        if not own <= known:
            return "with an unknown product"
        if len(own) < len(bundle.items):
            return "with a repeated product"
        if len(own) < 2:
            return "with a bundle of one product"
    return ""
