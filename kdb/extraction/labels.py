"""Labels as what a student learns from: sessions with a teacher's bundles, and how much each is to count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UnsetType

from kdb.evaluation.matched_session import bundle_sets, co_bundled
from kdb.records import Knowledge, Session, SessionKey

ANNOTATORS = ""
"""Who labelled a session that people annotated."""


@dataclass(frozen=True)
class LabelledSession:
    """A session with bundles to learn: whose they are, how much they count, and how sure each pair of items is.

    `pair_shares` are soft targets: the probability that two items belong together; a pair that is not in it has 0.
    """

    session: Session
    labelled_by: str
    weight: float
    pair_shares: dict[tuple[str, str], float]


def labelled_sessions(
    sessions: Iterable[Session], knowledge: Sequence[Knowledge], min_confidence: float = 0.0
) -> list[LabelledSession]:
    """Annotated sessions as they are, with weight 1, and the others with their label, if it is sure enough.

    The weight of a label is its confidence, or 1 where a single answer has none. Sessions without either are left
    out. Of several labels of a session the surest counts, of equals the first.
    """
    labels: dict[SessionKey, Knowledge] = {}
    for piece in knowledge:
        if piece.format == "label" and len(piece.source.sessions) == 1 and _confidence(piece) >= min_confidence:
            key = (piece.domain, piece.source.sessions[0])
            if key not in labels or _confidence(piece) > _confidence(labels[key]):
                labels[key] = piece
    found = []
    for session in sessions:
        label = labels.get(session.key)
        if session.truth is not None:
            pairs = co_bundled(bundle_sets(bundle.items for bundle in session.truth))
            found.append(LabelledSession(session, ANNOTATORS, 1.0, dict.fromkeys(sorted(pairs), 1.0)))
        elif label is not None and not isinstance(label.bundles, UnsetType):
            taught = msgspec.structs.replace(session, bundles=label.bundles)
            shares = {} if isinstance(label.pair_shares, UnsetType) else label.pair_shares
            soft = {(a, b): share for a, b, share in shares}
            found.append(LabelledSession(taught, label.teacher, _confidence(label), soft))
    return found


def _confidence(label: Knowledge) -> float:
    return 1.0 if isinstance(label.confidence, UnsetType) else label.confidence
