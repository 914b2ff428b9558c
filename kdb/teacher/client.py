"""Opens the teacher that the user's settings name: a backend, and the layers around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from kdb import console
from kdb.errors import UsageError
from kdb.io.files import cache_folder
from kdb.io.provenance import file_hash
from kdb.registry import load
from kdb.teacher import ANNOTATIONS, BACKENDS, Backend, Identity, Teacher
from kdb.teacher.batch_file import import_results
from kdb.teacher.cache import AnswerCache
from kdb.teacher.cached import CachedTeacher
from kdb.teacher.config import TeacherConfig
from kdb.teacher.metered import Limits, MeteredTeacher
from kdb.teacher.openai_server import address, without_secrets
from kdb.teacher.openai_wire import OWN_FIELDS
from kdb.teacher.prices import Prices
from kdb.teacher.rate_limiter import RateLimiter
from kdb.teacher.retrying import RetryingTeacher


def open_teacher(config: TeacherConfig, force: bool = False) -> Teacher:
    """The teacher; `force` lets a batch file be overwritten."""
    if config.teacher == ANNOTATIONS:
        return open_annotations()
    identity, prices = _identity(config), Prices(config.prices)
    if config.budget is not None and prices.find(identity.model) is None:
        hint = "give one with --prices, or use --max-requests"
        raise UsageError(f"no price is known for {identity.model!r}, so --budget means nothing", hint)
    cache = AnswerCache(config.cache or cache_folder())
    identity = structs.replace(identity, without=cache.refused_by(identity))
    if config.batch_in:
        import_results(config.batch_in, cache, identity, prices)
    if config.dry_run:
        return CachedTeacher(load(BACKENDS, "dry_run")(identity, cache, prices), cache)
    if config.batch_out:
        return CachedTeacher(load(BACKENDS, "batch_file")(identity, config.batch_out, force), cache)
    metered = MeteredTeacher(
        _backend(config, identity),
        prices,
        Limits(config.budget, config.max_requests),
        RateLimiter(config.rpm, config.tpm),
    )
    return CachedTeacher(RetryingTeacher(metered, config.retries), cache)


def open_annotations() -> Backend:
    """The teacher that is no model."""
    annotations: Backend = load(BACKENDS, ANNOTATIONS)(Identity("", ANNOTATIONS))
    return annotations


def _identity(config: TeacherConfig) -> Identity:
    """Under which answers are kept and records are signed."""
    if not config.is_server:
        if config.extra_body:
            raise UsageError("--extra-body is for servers", f"{config.teacher} is none")
        folder = Path(config.teacher)
        # A folder may hold another model tomorrow, whose answers are not these.
        model = f"{folder.resolve().name}@{file_hash(folder)}" if folder.is_dir() else config.teacher
        return Identity("", model)
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


def _backend(config: TeacherConfig, identity: Identity) -> Backend:
    if config.is_server:
        if identity.without:
            refused = ", ".join(sorted(identity.without)).replace(":", " ")
            console.say(f"{identity.server} is known to refuse {refused}: asked without")
        server: Backend = load(BACKENDS, "server")(identity, address(config.teacher), config.timeout)
        return server
    local: Backend = load(BACKENDS, "local")(identity, config.teacher, config.concurrency)
    return local
