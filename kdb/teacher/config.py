"""Whom to ask and how, as the command line has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kdb.teacher import Sampling


@dataclass(frozen=True)
class TeacherConfig:
    """Whom to ask and how: the options of the command line."""

    teacher: str
    model: str = ""
    concurrency: int = 8
    rpm: float | None = None
    tpm: float | None = None
    timeout: float = 300
    retries: int = 4
    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 1024
    cache: Path | None = None
    prices: Path | None = None
    dry_run: bool = False
    budget: float | None = None
    max_requests: int | None = None
    batch_out: Path | None = None
    batch_in: Path | None = None

    @property
    def sampling(self) -> Sampling:
        """How the teacher is to answer."""
        return Sampling(self.temperature, self.seed, self.max_tokens)

    @property
    def is_server(self) -> bool:
        """Whether the teacher is an address."""
        return self.teacher.startswith(("http://", "https://"))
