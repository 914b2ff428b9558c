"""Who predicts bundles: baselines, students here, students behind a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from kdb.records import Prediction, Session
from kdb.student.seen_sessions import SeenSessions


class Predictor(Protocol):
    """Predicts bundles for sessions."""

    settings: dict[str, Any]
    """What it is, as the `run` record has it."""
    measured: dict[str, Any]
    """What is known of it before it predicts."""
    seen: SeenSessions
    """The sessions that it has learnt from."""
    fits_kb: bool
    """Whether it has learnt from what it was given by this run, and not before."""

    def predict(self, sessions: Sequence[Session]) -> list[Prediction]:
        """One prediction for each session, without the fields of a run."""

    def close(self) -> None:
        """Say at the end what there is to say, and let go of what was open."""
