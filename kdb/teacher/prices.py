"""What a teacher's tokens cost: a small table (`prices.toml`) that a user's own is laid over."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from kdb.errors import UsageError
from kdb.records import Usage

Dollars = Annotated[float, Meta(ge=0)]


class Price(Struct, forbid_unknown_fields=True):
    """US dollars per million tokens, and the share of them that answers of a batch cost."""

    prompt: Dollars
    completion: Dollars
    batch: Dollars = 1.0

    def cost(self, usage: Usage, batch: bool = False) -> float:
        """What these tokens cost in US dollars."""
        dollars = (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1e6
        return dollars * (self.batch if batch else 1)


def price(model: str, own: Path | None = None) -> Price | None:
    """The price of a model's tokens, from the user's `own` table first; None where none is known."""
    table = _table(resources.files(__package__).joinpath("prices.toml").read_text())
    if own:
        try:
            table |= _table(own.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{own}: {error.strerror}") from None
        except ValueError as error:
            hint = 'it holds tables like ["gpt-4o-mini"] with prompt and completion'
            raise UsageError(f"{own}: {error}", hint) from None
    return table.get(model) or table.get(re.sub(r"-\d{4}-?\d{2}-?\d{2}$", "", model))


def _table(text: str) -> dict[str, Price]:
    return msgspec.convert(tomllib.loads(text), dict[str, Price])
