"""Whom to ask and how: settings, each an option of the commands that ask."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from kdb.errors import UsageError
from kdb.teacher import BACKENDS, Sampling

RARE = {"rare": True}


@dataclass(frozen=True)
class ServerConfig:
    """How a server is asked, whoever it is, and what may be spent."""

    concurrency: Annotated[
        int, Meta(ge=1, description="Requests in flight at once; of a local model, its batch.")
    ] = 8
    timeout: Annotated[float, Meta(gt=0, description="Seconds to wait for a whole answer.")] = 300
    retries: Annotated[int, Meta(ge=0, description="How often a request that failed is sent again.")] = 4
    max_tokens: Annotated[
        int,
        Meta(ge=1, description="Longest answer. A larger limit later asks only answers that were cut off again."),
    ] = 1024
    cache: Annotated[
        Path | None, Meta(description="Folder of the cache of answers.", extra={"default": "the user cache"})
    ] = None
    budget: Annotated[float | None, Meta(ge=0, description="Stop before this run has spent so many dollars.")] = (
        None
    )
    max_requests: Annotated[int | None, Meta(ge=0, description="Stop once this run has sent so many requests.")] = (
        None
    )
    extra_body: Annotated[
        str, Meta(description='More fields of each request\'s body, as JSON: {"top_p": 0.9}.')
    ] = ""
    rpm: Annotated[float | None, Meta(gt=0, description="Requests per minute, at most.", extra=RARE)] = None
    tpm: Annotated[
        float | None,
        Meta(gt=0, description="Tokens per minute, at most, answers counted at their limit.", extra=RARE),
    ] = None
    prices: Annotated[
        Path | None, Meta(description="Your own table of prices (TOML), laid over the built-in one.", extra=RARE)
    ] = None


@dataclass(frozen=True, kw_only=True)
class _Whom:
    """A teacher, and what it is to do."""

    teacher: Annotated[
        str,
        Meta(
            description="The address of an OpenAI-compatible server, a model folder or hub id, or by name: "
            f"{', '.join(BACKENDS)}.",
            extra={"envvar": "KDB_TEACHER_URL"},
        ),
    ]
    model: Annotated[
        str, Meta(description="The server's name of the model.", extra={"envvar": "KDB_TEACHER_MODEL"})
    ] = ""
    temperature: Annotated[float, Meta(ge=0, description="0 for the likeliest answer.")] = 0.0
    seed: Annotated[int, Meta(description="Seed of the teacher's sampling, where it knows one.", extra=RARE)] = 0
    precision: Annotated[
        Literal["fp32", "bf16"],
        Meta(
            description="Weights of a local model. In fp32 an answer does not depend on the others of its batch.",
            extra=RARE,
        ),
    ] = "fp32"
    dry_run: Annotated[
        bool, Meta(description="Send nothing: write what would be asked and what it would cost at most.")
    ] = False
    batch_out: Annotated[
        Path | None, Meta(description="Ask nothing: write the missing requests, in OpenAI's batch form.")
    ] = None
    batch_in: Annotated[Path | None, Meta(description="Take the answers of a batch first.")] = None


@dataclass(frozen=True, kw_only=True)
class TeacherConfig(ServerConfig, _Whom):
    """A teacher, and how it is asked."""

    @property
    def sampling(self) -> Sampling:
        """How the teacher is to answer."""
        return Sampling(self.temperature, self.seed, self.max_tokens)

    @property
    def is_server(self) -> bool:
        """Whether the teacher is an address."""
        return self.teacher.strip().lower().startswith(("http://", "https://"))


@dataclass(frozen=True, kw_only=True)
class StudentServerConfig(ServerConfig):
    """A student that may be behind a server, and how it is asked there."""

    backend: Annotated[
        Literal["local", "endpoint"],
        Meta(description="Where the student is: here, or behind an OpenAI-compatible server."),
    ] = "local"
    url: Annotated[str, Meta(description="Its address (endpoint).")] = ""
    model: Annotated[str, Meta(description="Its name of the model or adapter (endpoint).")] = ""

    def as_teacher(self) -> TeacherConfig | None:
        """The server as whatever is asked is described; None where the student is here.

        UsageError where it is not told whether, or which server.
        """
        if self.backend == "local":
            if self.url or self.model:
                raise UsageError("--url and --model name a student behind a server", "pass --backend endpoint")
            return None
        if not (self.url and self.model):
            raise UsageError("--backend endpoint needs an address and a model", "pass --url and --model")
        shared = {field.name: getattr(self, field.name) for field in fields(ServerConfig)}
        config = TeacherConfig(teacher=self.url, model=self.model, **shared)
        if not config.is_server:
            raise UsageError(f"--url {self.url}: no address of a server", "it looks like http://localhost:8000/v1")
        return config
