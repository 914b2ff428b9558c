"""Keeps requests and tokens per minute under a server's limits."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field


@dataclass
class RateLimiter:
    """Hands out the moments at which requests may start: evenly, so that no window of time is overfull."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    _next: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def acquire(self, tokens: int) -> None:
        """Wait until a request that may take so many tokens may start."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            by_requests = 60 / self.requests_per_minute if self.requests_per_minute else 0
            by_tokens = 60 * tokens / self.tokens_per_minute if self.tokens_per_minute else 0
            self._next = start + max(by_requests, by_tokens)
        if start > now:
            time.sleep(start - now)
