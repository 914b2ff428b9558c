"""Opens the teacher that the user's settings name: a backend, and the layers around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from kdb.errors import UsageError
from kdb.io.files import cache_folder
from kdb.io.provenance import file_hash
from kdb.registry import load
from kdb.teacher import BACKENDS, Backend, Identity, Teacher
from kdb.teacher.batch_file import BatchFile, import_results
from kdb.teacher.cache import AnswerCache
from kdb.teacher.cached import CachedTeacher
from kdb.teacher.config import TeacherConfig
from kdb.teacher.dry_run import DryRun
from kdb.teacher.metered import Limits, MeteredTeacher
from kdb.teacher.openai_server import OpenAIServer, address, without_secrets
from kdb.teacher.openai_wire import OWN_FIELDS
from kdb.teacher.prices import Prices
from kdb.teacher.rate_limiter import RateLimiter
from kdb.teacher.retrying import RetryingTeacher


def open_teacher(config: TeacherConfig, force: bool = False, kind: type[Backend] | None = None) -> Teacher:
    """The teacher, of this kind or as its name says; `force` lets a batch file be overwritten."""
    kind = kind or backend_class(config)
    if not kind.is_model:
        return kind(Identity("", config.teacher))
    identity, prices = _identity(config), Prices(config.prices)
    if config.budget is not None and prices.find(identity.model) is None:
        hint = "give one with --prices, or use --max-requests"
        raise UsageError(f"no price is known for {identity.model!r}, so --budget means nothing", hint)
    cache = AnswerCache(config.cache or cache_folder())
    identity = structs.replace(identity, without=cache.refused_by(identity))
    if config.batch_in:
        import_results(config.batch_in, cache, identity, prices)
    if config.dry_run:
        return CachedTeacher(DryRun(identity, cache, prices), cache)
    if config.batch_out:
        return CachedTeacher(BatchFile(identity, config.batch_out, force), cache)
    metered = MeteredTeacher(
        kind.open(identity, config),
        prices,
        Limits(config.budget, config.max_requests),
        RateLimiter(config.rpm, config.tpm),
    )
    return CachedTeacher(RetryingTeacher(metered, config.retries), cache)


def backend_class(config: TeacherConfig) -> type[Backend]:
    """Who a teacher's name stands for: a backend, a server by its address, or else a model in this process."""
    if config.is_server:
        return OpenAIServer
    if config.teacher in BACKENDS:
        named: type[Backend] = load(BACKENDS, config.teacher)
        return named
    from kdb.teacher.local import LocalModel

    return LocalModel


def _identity(config: TeacherConfig) -> Identity:
    """Under which answers are kept and records are signed."""
    if not config.is_server:
        folder = Path(config.teacher)
        # A folder may hold another model tomorrow, whose answers are not these.
        is_folder = config.teacher not in BACKENDS and folder.is_dir()
        model = f"{folder.resolve().name}@{file_hash(folder)}" if is_folder else config.teacher
        return Identity("", model, {} if config.precision == "fp32" else {"precision": config.precision})
    if config.precision != "fp32":
        raise UsageError("--set precision is of a model in this process", "a server has its own")
    if not config.model:
        raise UsageError("the server's model has no name", "give --model or set KDB_TEACHER_MODEL")
    return Identity(without_secrets(address(config.teacher)), config.model, _extra(config.extra_body))


def _extra(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        extra = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UsageError(f"--extra-body: {error}", 'it is a JSON object like {"top_p": 0.9}') from None
    for name in extra:
        if name in OWN_FIELDS:
            raise UsageError(f"--extra-body: {name!r} is said by kdb itself", "leave it out")
    return extra
