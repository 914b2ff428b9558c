"""Which sessions a predictor has learnt from: what it predicts for them is no result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from kdb import console
from kdb.errors import KdbError
from kdb.io.provenance import content_hash
from kdb.records import Session

FILE = "sessions.json"


class SeenSessions(Struct):
    """Hashes of the sessions that something was trained on, and of those that it was tuned or chosen by."""

    trained: list[str] = []
    tuned: list[str] = []

    @classmethod
    def of(cls, training: Iterable[Session], validation: Iterable[Session]) -> SeenSessions:
        """Those of these sessions."""
        return cls([_hash(s) for s in training], [_hash(s) for s in validation])

    @classmethod
    def read(cls, folder: Path) -> SeenSessions:
        """Those that lie beside an adapter; none where it was made before they were kept."""
        try:
            return msgspec.json.decode((folder / FILE).read_bytes(), type=cls)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            raise KdbError(f"{folder / FILE}: {error}", "train the adapter anew") from None

    def save(self, folder: Path) -> None:
        """Keep them beside an adapter."""
        (folder / FILE).write_bytes(msgspec.json.encode(self) + b"\n")

    def overlap(self, sessions: Sequence[Session], refuse: bool) -> dict[str, int]:
        """How many of these sessions were `trained_on` and `tuned_on`, for the `run` record; where any, it is said.

        With `refuse`, KdbError where one was trained on.
        """
        trained, tuned = set(self.trained), set(self.tuned)
        learnt = [session for session in sessions if _hash(session) in trained]
        if learnt and refuse:
            raise KdbError(
                f"{len(learnt)} of {len(sessions)} sessions stand in --kb too and would be learnt from: first "
                f"{learnt[0].id!r} of {learnt[0].domain!r}",
                "predict other sessions, or leave these out of --kb",
            )
        found = {"trained_on": len(learnt), "tuned_on": sum(_hash(session) in tuned for session in sessions)}
        for name, what in (("trained_on", "trained on"), ("tuned_on", "tuned or chosen by")):
            if found[name]:
                console.warn(f"no fair result: {found[name]} of {len(sessions)} sessions are those it was {what}")
        return {name: count for name, count in found.items() if count}


def _hash(session: Session) -> str:
    return content_hash([session.domain, session.id, [item.title for item in session.items]])
