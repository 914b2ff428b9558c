"""The options of a command that asks a teacher, or a student behind a server, in one place for all of them."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from kdb.cli.streams import StreamOptions
from kdb.errors import UsageError
from kdb.teacher.config import TeacherConfig

TEACHER = "annotations (no model), the address of an OpenAI-compatible server, or a model folder or hub id."


def _option(kind: Any, flag: str, text: str, **more: Any) -> Any:
    return Annotated[kind, typer.Option(flag, help=text, show_default=more.pop("show_default", True), **more)]


OPTIONS: dict[str, Any] = {
    "teacher": _option(str, "--teacher", TEACHER, envvar="KDB_TEACHER_URL", show_default=False),
    "model": _option(
        str, "--model", "The server's name of the model.", envvar="KDB_TEACHER_MODEL", show_default=False
    ),
    "concurrency": _option(int, "--concurrency", "Requests in flight at once; of a local model, its batch.", min=1),
    "rpm": _option(float | None, "--rpm", "Requests per minute, at most.", min=1),
    "tpm": _option(float | None, "--tpm", "Tokens per minute, at most, answers counted at their limit.", min=1),
    "timeout": _option(float, "--timeout", "Seconds to wait for an answer."),
    "retries": _option(int, "--retries", "How often a request that failed is sent again.", min=0),
    "temperature": _option(float, "--temperature", "0 for the likeliest answer.", min=0),
    "seed": _option(int, "--seed", "Seed of the teacher's sampling, where it knows one."),
    "max_tokens": _option(
        int,
        "--max-tokens",
        "Longest answer. A larger limit later asks only answers that were cut off again.",
        min=1,
    ),
    "cache": _option(Path | None, "--cache", "Folder of the cache of answers.  [default: the user cache]"),
    "prices": _option(Path | None, "--prices", "Your own table of prices (TOML), laid over the built-in one."),
    "dry_run": _option(
        bool, "--dry-run", "Send nothing: write what would be asked and what it would cost at most."
    ),
    "budget": _option(float | None, "--budget", "Stop once this run has spent so many dollars.", min=0),
    "max_requests": _option(int | None, "--max-requests", "Stop once this run has sent so many requests.", min=0),
    "batch_out": _option(
        Path | None, "--batch-out", "Ask nothing: write the missing requests, in OpenAI's batch form."
    ),
    "batch_in": _option(Path | None, "--batch-in", "Take the answers of a batch first."),
}


Backend = Literal["local", "endpoint"]
SHARED = (
    "concurrency",
    "rpm",
    "tpm",
    "timeout",
    "retries",
    "max_tokens",
    "cache",
    "prices",
    "budget",
    "max_requests",
)
SERVER: dict[str, Any] = {
    "backend": _option(Backend, "--backend", "Where the student is: here, or behind an OpenAI-compatible server."),
    "url": _option(str, "--url", "Its address (endpoint).", show_default=False),
    "model": _option(str, "--model", "Its name of the model or adapter (endpoint).", show_default=False),
    **{name: OPTIONS[name] for name in SHARED},
}


def with_teacher(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose second parameter is `settings: TeacherConfig`, a teacher's options."""
    return _with(command, OPTIONS, lambda **values: TeacherConfig(**values))


def with_server(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose second parameter is `server: TeacherConfig | None`, those of a student on a server."""
    return _with(command, SERVER, _server, own_first=True)


def _server(backend: Backend, url: str, model: str, **values: Any) -> TeacherConfig | None:
    if backend == "local":
        if url or model:
            raise UsageError("--url and --model name a student behind a server", "pass --backend endpoint")
        return None
    if not (url and model):
        raise UsageError("--backend endpoint needs an address and a model", "pass --url and --model")
    settings = TeacherConfig(url, model, **values)
    if not settings.is_server:
        raise UsageError(f"--url {url}: no address of a server", "it looks like http://localhost:8000/v1")
    return settings


def _with(
    command: Callable[..., None],
    options: dict[str, Any],
    settings: Callable[..., TeacherConfig | None],
    own_first: bool = False,
) -> Callable[..., None]:
    """Give a command these options; its second parameter is what `settings` makes of them."""
    streams, _, *own = inspect.signature(command).parameters.values()
    defaults = {f.name: f.default for f in fields(TeacherConfig)} | {"backend": "local", "url": ""}
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if defaults[name] is MISSING else defaults[name],
            annotation=kind,
        )
        for name, kind in options.items()
    ]

    def asking(streams: StreamOptions, **values: Any) -> None:
        command(streams, settings(**{name: values.pop(name) for name in options}), **values)

    asking.__doc__ = command.__doc__
    asking.__name__ = command.__name__
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    both = [*own, *shared] if own_first else [*shared, *own]
    asking.__signature__ = inspect.Signature([streams, *both])  # type: ignore[attr-defined]
    return asking
