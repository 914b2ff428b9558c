"""Records in an order drawn by the seed."""

from __future__ import annotations

from kdb.selection.orderings import shuffled
from kdb.selection.strategy import Records, Strategy


class Random(Strategy):
    """Each record as likely as any other."""

    def order(self, records: Records) -> list[int]:
        """A permutation drawn by the seed."""
        return shuffled(len(records), self.config.seed)
