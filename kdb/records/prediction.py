"""What a run predicts."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from kdb.records.base import Record, SessionKey, Status, Usage
from kdb.records.session import Bundle, ImportInfo, Item, Session, check_bundles, check_items


class Rating(Struct):
    """How a teacher rates the intent of a predicted bundle, from 1 to 5 on each scale of AICL."""

    items: list[str]
    naturalness: int
    coverage: int
    motivation: int
    teacher: str


class Prediction(Record, tag="prediction"):
    """What a run predicts for one session; `items` are the session's item ids, `truth` its true bundles."""

    id: str
    domain: str
    items: list[str]
    bundles: list[Bundle]
    status: Status
    run: str
    raw: str = ""
    truth: list[Bundle] | None = None
    demos: list[str] = []
    knowledge: list[str] = []
    context_dropped: int = 0
    """How many demonstrations and pieces of knowledge did not fit into the prompt."""
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    user: str | int | UnsetType = UNSET
    time: int | float | UnsetType = UNSET
    imported: ImportInfo | UnsetType = UNSET
    ratings: list[Rating] | UnsetType = UNSET

    @property
    def key(self) -> SessionKey:
        """The domain and the id of the session."""
        return (self.domain, self.id)

    def __post_init__(self) -> None:
        known = check_items(self.items)
        check_bundles(self.truth or [], known, "truth")

    @classmethod
    def of(cls, session: Session, bundles: list[Bundle], status: Status = "ok", **fields: Any) -> Prediction:
        """What is predicted for a session, before a run puts its id to it."""
        return cls(
            id=session.id,
            domain=session.domain,
            items=[item.id for item in session.items],
            bundles=bundles,
            status=status,
            run="",
            truth=session.truth,
            imported=session.imported,
            user=session.user,
            time=session.time,
            **fields,
        )


class CollectedBundle(Record, tag="bundle", omit_defaults=True):
    """A bundle that was predicted in so many `sessions` of so many `users`; `intent` is the most frequent.

    `probability` is the mean; `first` and `last` are Unix seconds. What no prediction says is absent.
    """

    domain: str
    items: list[Item]
    sessions: int
    intent: str = ""
    users: int | UnsetType = UNSET
    probability: float | UnsetType = UNSET
    first: int | UnsetType = UNSET
    last: int | UnsetType = UNSET
