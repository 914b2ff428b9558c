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
    """US dollars per million tokens, and the share of them that answers of a batch cost.

    Without prices of their own, tokens of a prompt that were read before cost what others do, and so do tokens
    of a completion that were thought aloud.
    """

    prompt: Dollars
    completion: Dollars
    batch: Dollars = 1.0
    cached: Dollars | None = None
    reasoning: Dollars | None = None

    def cost(self, usage: Usage, batch: bool = False) -> float:
        """What these tokens cost in US dollars."""
        cached, reasoning = usage.cached_tokens, usage.reasoning_tokens
        dollars = (
            (usage.prompt_tokens - cached) * self.prompt
            + cached * (self.prompt if self.cached is None else self.cached)
            + (usage.completion_tokens - reasoning) * self.completion
            + reasoning * (self.completion if self.reasoning is None else self.reasoning)
        )
        return dollars / 1e6 * (self.batch if batch else 1)


class Prices:
    """The prices of models, those of the user's `own` table first."""

    def __init__(self, own: Path | None = None) -> None:
        self._table = _read(own)

    def find(self, *names: str) -> Price | None:
        """The price of the first of these models that has one; a name also stands for its dated versions."""
        known = (self._table.get(n) or self._table.get(re.sub(r"-\d{4}-?\d{2}-?\d{2}$", "", n)) for n in names)
        return next((price for price in known if price), None)


def _read(own: Path | None) -> dict[str, Price]:
    table = _table(resources.files(__package__).joinpath("prices.toml").read_text())
    if own:
        try:
            table |= _table(own.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{own}: {error.strerror}") from None
        except ValueError as error:
            hint = 'it holds tables like ["gpt-4o-mini"] with prompt and completion'
            raise UsageError(f"{own}: {error}", hint) from None
    return table


def _table(text: str) -> dict[str, Price]:
    return msgspec.convert(tomllib.loads(text), dict[str, Price])
