"""Records by length: the items of a session, the words of a piece of knowledge."""

from __future__ import annotations

from kdb.records import Session
from kdb.selection.orderings import by_value
from kdb.selection.strategy import Records, Strategy


class Length(Strategy):
    """The longest first, the shortest, or some of each length."""

    preferences = {"long": "high", "short": "low", "spread": "spread"}  # noqa: RUF012

    def order(self, records: Records) -> list[int]:
        """By length; the seed decides between equals."""
        values = [len(r.items) if isinstance(r, Session) else len(r.text.split()) for r in records]
        return by_value([float(value) for value in values], self.preferences[self.prefer], self.config.seed)
