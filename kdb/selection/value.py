"""Records by what they are worth: a rule by its measured value, a session by the rules drawn from it."""

from __future__ import annotations

from msgspec import UnsetType

from kdb.errors import KdbError
from kdb.records import Knowledge, Session, SessionKey
from kdb.selection.config import SelectionConfig
from kdb.selection.orderings import by_value
from kdb.selection.strategy import Records, Strategy


class Value(Strategy):
    """The most valuable first; what has no value comes last."""

    def __init__(self, config: SelectionConfig, offered: Records) -> None:
        """See `Strategy`; KdbError where no rule has a value."""
        super().__init__(config, offered)
        self._sessions: dict[SessionKey, float] = {}
        for rule in offered:
            if isinstance(rule, Knowledge) and not isinstance(rule.value, UnsetType):
                for session in rule.source.sessions:
                    key = (rule.domain, session)
                    self._sessions[key] = self._sessions.get(key, 0.0) + rule.value
        if not self._sessions:
            raise KdbError("no knowledge in the stream has a value", "extract rules before: kdb extract rule")

    def order(self, records: Records) -> list[int]:
        """By value; the seed decides between equals."""
        return by_value([self._value(record) for record in records], "high", self.config.seed)

    def _value(self, record: Session | Knowledge) -> float | None:
        if isinstance(record, Session):
            return self._sessions.get(record.key)
        return None if isinstance(record.value, UnsetType) else record.value
