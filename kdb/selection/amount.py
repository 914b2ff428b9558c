"""How much of a ranking is taken: a share, a number, or a budget of tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kdb.errors import UsageError
from kdb.prompts import numbered
from kdb.records import Knowledge, Session
from kdb.selection import orderings

Unit = Literal["share", "records", "tokens"]


@dataclass(frozen=True)
class Amount:
    """So much of a unit; all where the unit is a share of 1."""

    value: float = 1.0
    unit: Unit = "share"

    @classmethod
    def parse(cls, text: str) -> Amount:
        """The amount that a text means: `0.3` of all, `200` records, `5000tok`; UsageError for anything else."""
        if not text:
            return cls()
        if found := re.fullmatch(r"(\d+)(tok)?", text):
            return cls(int(found[1]), "tokens" if found[2] else "records")
        if re.fullmatch(r"\d*\.\d+", text) and float(text) <= 1:
            return cls(float(text), "share")
        raise UsageError(f"--amount {text}: no amount", "a share (0.3), a number (200) or tokens (5000tok)")

    def head(self, order: Sequence[int], records: Sequence[Session | Knowledge], student: str) -> Sequence[int]:
        """As much of the order as that allows; a share above 0 is rounded, never to nothing."""
        if self.unit == "share":
            return order[: max(1, round(self.value * len(order))) if self.value else 0]
        if self.unit == "records":
            return order[: int(self.value)]
        from kdb.student.tokens import counts

        return orderings.head(order, counts([_prompted(r) for r in records], student), int(self.value))

    def stated(self, of: str) -> float | str:
        """As records state it: a share as a number, else with its unit."""
        return self.value if self.unit == "share" else f"{self.value} {of if self.unit == 'records' else 'tokens'}"


def _prompted(record: Session | Knowledge) -> str:
    """What of a record stands in a prompt."""
    return numbered(i.title for i in record.items) if isinstance(record, Session) else record.text
