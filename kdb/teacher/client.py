"""Opens what a stage asks, from the user's settings: an account with a teacher, or a plan."""

from __future__ import annotations

from pathlib import Path

from kdb import console, weights
from kdb.errors import UsageError
from kdb.provenance import file_hash
from kdb.teacher import Teacher
from kdb.teacher.batch import RequestFile, take
from kdb.teacher.cache import Ledger
from kdb.teacher.config import Settings
from kdb.teacher.cost_estimate import Plan
from kdb.teacher.metered import Account, Bounds
from kdb.teacher.prices import Price, price
from kdb.teacher.rate_limiter import Pace


def open_desk(settings: Settings, force: bool = False) -> Account | Plan:
    """The account or the plan; `force` lets a batch file be overwritten."""
    if not settings.plan:
        return open_account(settings, force)
    model, own_price, ledger = _opened(settings)
    return Plan(model, ledger, own_price)


def open_account(settings: Settings, force: bool = False) -> Account:
    """The account; `force` lets a batch file be overwritten."""
    model, own_price, ledger = _opened(settings)
    return Account(
        teacher=_teacher(settings, model),
        ledger=ledger,
        price=own_price,
        bounds=Bounds(settings.budget, settings.max_requests),
        pace=Pace(settings.rpm, settings.tpm),
        missing=RequestFile(settings.batch_out, model, force) if settings.batch_out else None,
    )


def _opened(settings: Settings) -> tuple[str, Price | None, Ledger]:
    """The model's name, its price if one is known, and the ledger, with the answers of a batch."""
    model = _model(settings)
    own_price = price(model, settings.prices)
    if settings.budget is not None and own_price is None:
        hint = "give one with --prices, or use --max-requests"
        raise UsageError(f"no price is known for {model!r}, so --budget means nothing", hint)
    ledger = Ledger(settings.cache or weights.cache_folder())
    if settings.batch_in:
        taken, failed = take(settings.batch_in, ledger, model, own_price)
        console.say(f"{settings.batch_in}: {taken} answers taken, {failed} requests failed")
    return model, own_price, ledger


def _model(settings: Settings) -> str:
    """The name under which answers are kept and records are signed."""
    if not settings.is_server:
        folder = Path(settings.teacher)
        # A folder may hold another model tomorrow, whose answers are not these.
        return f"{folder.resolve().name}@{file_hash(folder)}" if folder.is_dir() else settings.teacher
    if not settings.model:
        raise UsageError("the server's model has no name", "give --model or set KDB_TEACHER_MODEL")
    return settings.model


def _teacher(settings: Settings, model: str) -> Teacher:
    if settings.is_server:
        from kdb.teacher.openai_server import Endpoint, Patience

        return Endpoint(settings.teacher, model, Patience(settings.timeout, settings.retries))
    from kdb.teacher.local import Local

    return Local(settings.teacher, model, settings.concurrency)
