"""What a strategy is: it ranks records, and a sample is the head of its ranking."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from kdb.errors import UsageError
from kdb.records import Knowledge, Session
from kdb.selection.config import SelectionConfig
from kdb.selection.orderings import Prefer

Records = Sequence[Session | Knowledge]


class Strategy(ABC):
    """Ranks sessions or knowledge. `uses` names the settings that no other strategy has a use for."""

    preferences: ClassVar[Mapping[str, Prefer]] = {}
    """What `--prefer` may say, the default first."""
    uses: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: SelectionConfig, offered: Records) -> None:
        """`offered` is all that is up for choice, also what is not ranked: a strategy may learn from it."""
        if config.prefer and config.prefer not in self.preferences:
            remedy = f"choose from {', '.join(self.preferences)}" if self.preferences else "leave out --prefer"
            raise UsageError(f"--prefer {config.prefer}: {config.strategy} has no such preference", remedy)
        self.config = config
        self.prefer = config.prefer or next(iter(self.preferences), "")

    @abstractmethod
    def order(self, records: Records) -> list[int]:
        """All positions of the records, those to take first at the head; the same for the same seed."""

    def settings(self) -> dict[str, object]:
        """What of the configuration shaped the order."""
        own = {name: getattr(self.config, name) for name in self.uses}
        return {"strategy": self.config.strategy, "prefer": self.prefer, **own, "seed": self.config.seed}
