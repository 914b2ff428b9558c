"""How hard a session is: 1 - F1 of what was first said about it, or the loss of a student."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import UnsetType

from kdb import console
from kdb.errors import KdbError
from kdb.evaluation.matched_session import matched_f1
from kdb.io import stream
from kdb.records import FirstAttempt, Knowledge, Prediction, Session, SessionKey
from kdb.selection.config import RULES, SelectionConfig
from kdb.selection.orderings import by_value
from kdb.selection.strategy import Records, Strategy


class Difficulty(Strategy):
    """The hardest first, the easiest, or some of each."""

    preferences = {"hard": "high", "easy": "low", "spread": "spread"}  # noqa: RUF012
    uses = ("difficulty",)

    def __init__(self, config: SelectionConfig, offered: Records) -> None:
        super().__init__(config, offered)
        self.known = measured(config.difficulty, offered)

    def order(self, records: Records) -> list[int]:
        """By difficulty; what is not known comes last. KdbError where it is known of none."""
        values = [self.known.get(r.key) if isinstance(r, Session) else of_knowledge(r, self.known) for r in records]
        missing = values.count(None)
        if missing == len(values):
            raise KdbError(
                "nothing says how difficult these records are",
                "extract rules before, or name predictions, an adapter or a student by --difficulty",
            )
        if missing:
            console.say(f"{missing} of {len(values)} records have no known difficulty and come last")
        return by_value(values, self.preferences[self.prefer], self.config.seed)


def measured(source: str, offered: Records) -> dict[SessionKey, float]:
    """The difficulty of sessions by the teacher, a file of predictions, an adapter folder or a student."""
    if source == RULES:
        return from_teacher(record for record in offered if isinstance(record, Knowledge))
    path = Path(source)
    if path.is_file() or source.endswith(".jsonl"):
        lines = stream.read([path], ("prediction",))
        return from_predictions(line.record for line in lines if isinstance(line.record, Prediction))
    from kdb.student.config import FILE
    from kdb.student.session_loss import session_losses

    adapter = path if (path / FILE).is_file() else None
    return session_losses((r for r in offered if isinstance(r, Session)), source, adapter)


def from_teacher(knowledge: Iterable[Knowledge]) -> dict[SessionKey, float]:
    """The teacher's first error on each session that a rule or a correction was drawn from."""
    errors: dict[SessionKey, list[float]] = {}
    for piece in knowledge:
        for session, first in _first_attempts(piece).items():
            errors.setdefault((piece.domain, session), []).append(_error(first))
    return {key: sum(own) / len(own) for key, own in errors.items()}


def from_predictions(predictions: Iterable[Prediction]) -> dict[SessionKey, float]:
    """1 - matched Jaccard F1 of each session with a known truth, the mean over its predictions."""
    errors: dict[SessionKey, list[float]] = {}
    for prediction in predictions:
        if prediction.truth is not None:
            predicted = [bundle.items for bundle in prediction.bundles]
            f1 = matched_f1(predicted, [bundle.items for bundle in prediction.truth])
            errors.setdefault(prediction.key, []).append(1 - f1)
    return {key: sum(own) / len(own) for key, own in errors.items()}


def of_knowledge(piece: Knowledge, sessions: Mapping[SessionKey, float]) -> float | None:
    """The mean difficulty of the sessions that a piece was drawn from; None where none of them is known."""
    keys = [(piece.domain, session) for session in piece.source.sessions]
    known = [sessions[key] for key in keys if key in sessions]
    return sum(known) / len(known) if known else None


def _first_attempts(rule: Knowledge) -> Mapping[str, FirstAttempt]:
    """By session; a rule that only has a mean over its sessions lends it to each of them."""
    if not isinstance(rule.first_attempts, UnsetType):
        return rule.first_attempts
    if not isinstance(rule.first_attempt, UnsetType):
        return dict.fromkeys(rule.source.sessions, rule.first_attempt)
    return {}


def _error(first: FirstAttempt) -> float:
    total = first.precision + first.recall
    return 1 - 2 * first.precision * first.recall / total if total else 1.0
