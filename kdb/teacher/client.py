"""Opens what a stage asks, from the user's settings: a metered client, or the estimate of a dry run."""

from __future__ import annotations

from pathlib import Path

from kdb import console, weights
from kdb.errors import UsageError
from kdb.provenance import file_hash
from kdb.teacher import Teacher
from kdb.teacher.batch import RequestFile, import_results
from kdb.teacher.cache import AnswerCache
from kdb.teacher.config import TeacherConfig
from kdb.teacher.cost_estimate import CostEstimate
from kdb.teacher.metered import Limits, MeteredClient
from kdb.teacher.prices import Price, price
from kdb.teacher.rate_limiter import RateLimiter


def open_client(settings: TeacherConfig, force: bool = False) -> MeteredClient | CostEstimate:
    """The metered client, or the estimate of a dry run; `force` lets a batch file be overwritten."""
    if not settings.dry_run:
        return open_metered(settings, force)
    model, own_price, cache = _opened(settings)
    return CostEstimate(model, cache, own_price)


def open_metered(settings: TeacherConfig, force: bool = False) -> MeteredClient:
    """The metered client; `force` lets a batch file be overwritten."""
    model, own_price, cache = _opened(settings)
    return MeteredClient(
        teacher=_teacher(settings, model),
        cache=cache,
        price=own_price,
        limits=Limits(settings.budget, settings.max_requests),
        rate_limiter=RateLimiter(settings.rpm, settings.tpm),
        batch_out=RequestFile(settings.batch_out, model, force) if settings.batch_out else None,
    )


def _opened(settings: TeacherConfig) -> tuple[str, Price | None, AnswerCache]:
    """The model's name, its price if one is known, and the cache, with the answers of a batch."""
    model = _model(settings)
    own_price = price(model, settings.prices)
    if settings.budget is not None and own_price is None:
        hint = "give one with --prices, or use --max-requests"
        raise UsageError(f"no price is known for {model!r}, so --budget means nothing", hint)
    cache = AnswerCache(settings.cache or weights.cache_folder())
    if settings.batch_in:
        taken, failed = import_results(settings.batch_in, cache, model, own_price)
        console.say(f"{settings.batch_in}: {taken} answers taken, {failed} requests failed")
    return model, own_price, cache


def _model(settings: TeacherConfig) -> str:
    """The name under which answers are kept and records are signed."""
    if not settings.is_server:
        folder = Path(settings.teacher)
        # A folder may hold another model tomorrow, whose answers are not these.
        return f"{folder.resolve().name}@{file_hash(folder)}" if folder.is_dir() else settings.teacher
    if not settings.model:
        raise UsageError("the server's model has no name", "give --model or set KDB_TEACHER_MODEL")
    return settings.model


def _teacher(settings: TeacherConfig, model: str) -> Teacher:
    if settings.is_server:
        from kdb.teacher.openai_server import Endpoint, RetryPolicy

        return Endpoint(settings.teacher, model, RetryPolicy(settings.timeout, settings.retries))
    from kdb.teacher.local import Local

    return Local(settings.teacher, model, settings.concurrency)
