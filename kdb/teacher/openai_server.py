"""A teacher behind any server that speaks the OpenAI protocol, through the official client.

The client itself retries what is worth it (no connection, time-out, 408, 409, 429, 5xx), with backoff, and
waits as long as a `Retry-After` of up to two minutes says. Here is only what it leaves open: replies that are
no answer, and parameters that a server refuses.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kdb import console
from kdb.errors import UsageError
from kdb.teacher import Answer, Request, RequestFailed, RequestInvalid, TeacherUnavailable, Unanswered
from kdb.teacher.openai_wire import GRAMMAR_NAMES, encode_request
from kdb.teacher.reply import decode_reply

HINTS = {
    401: "check the key in KDB_TEACHER_KEY",
    402: "the account has no money left",
    403: "check the key in KDB_TEACHER_KEY",
    404: "check the address, which often ends in /v1, and the model's name",
    429: "set --rpm or --tpm, or lower --concurrency",
}
FATAL = (401, 402, 403, 404)
"""Errors that every other request would meet too."""
PERMANENT_ERRORS = (400, 413, 422)
"""Errors that this request would meet again."""
OPTIONAL_PARAMETERS = (*GRAMMAR_NAMES, "response_format", "seed", "temperature")
"""Parameters that we can do without."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a reply, in seconds, and how often to try again."""

    timeout: float = 300
    retries: int = 4


class Endpoint:
    """A server's model. The key is read from the environment and goes nowhere but to that server."""

    def __init__(self, url: str, model: str, patience: RetryPolicy) -> None:
        import openai

        self.model = model
        self.address = _without_secrets(url)
        self._retry = patience
        self._dropped: set[str] = set()
        self._client = openai.AsyncOpenAI(
            base_url=url,
            api_key=_key(url),
            timeout=patience.timeout,
            max_retries=patience.retries,
        )

    async def ask(self, request: Request) -> Answer:
        """The server's answer; a reply that is none is asked for again."""
        problem = ""
        for attempt in range(self._retry.retries + 1):
            if attempt:
                await asyncio.sleep(min(0.5 * 2**attempt, 8))
            started = time.monotonic()
            body = await self._reply(request)
            try:
                return decode_reply(body, time.monotonic() - started)
            except ValueError as error:
                problem = str(error)
        hint = "is the address right? it often ends in /v1"
        raise RequestFailed(f"{self.address} answered with {problem} instead of an answer", hint)

    async def _reply(self, request: Request) -> bytes:
        import openai

        while True:
            dropped = frozenset(self._dropped)
            body = encode_request(request, self.model, dropped)
            try:
                # As `chat.completions.create` does, without its walk over every part of the body.
                return await self._client.post("/chat/completions", cast_to=bytes, body=body)
            except openai.APIStatusError as error:
                if not self._drop(error, body, dropped):
                    raise self._unanswered(error) from None
            except openai.APITimeoutError:
                raise RequestFailed(f"{self.address} gave no answer within {self._retry.timeout:g} s") from None
            except openai.APIConnectionError as error:
                raise self._unreachable(error) from None

    def _drop(self, error: Any, body: dict[str, Any], dropped: frozenset[str]) -> bool:
        """Whether the server refused a parameter that we can do without; it is left out from then on."""
        if error.status_code not in (400, 422, 501):
            return False
        # Two requests that were in flight together are refused for the same reason.
        if dropped != self._dropped:
            return True
        name = _refused(error.response.text)
        if name not in body:
            return False
        step = f"{name}:{body[name]['type']}" if name == "response_format" else name
        self._dropped.add(step)
        console.say(f"{self.address} refuses {step.replace(':', ' ')}: going on without it")
        return True

    def _unanswered(self, error: Any) -> Unanswered:
        said = _words(error).replace(self._client.api_key, "***")
        code = error.status_code
        kind = (
            TeacherUnavailable if code in FATAL else RequestInvalid if code in PERMANENT_ERRORS else RequestFailed
        )
        return kind(f"{self.address} answered {code}: {said}", HINTS.get(code, ""))

    def _unreachable(self, error: Exception) -> Unanswered:
        cause = error.__cause__ or error
        if type(cause).__name__ == "ConnectError":
            hint = "is the server running, and is the address right?"
            return TeacherUnavailable(f"{self.address} cannot be reached: {cause}", hint)
        return RequestFailed(f"the connection to {self.address} broke off: {type(cause).__name__}")


def _key(url: str) -> str:
    """The key for this server: OpenAI's own is never sent to anyone else. Local servers want none."""
    own = os.environ.get("OPENAI_API_KEY") if urlsplit(url).hostname == "api.openai.com" else None
    return os.environ.get("KDB_TEACHER_KEY") or own or "none"


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname:
        raise UsageError(f"{url!r} is no address of a server", "it looks like http://localhost:8000/v1")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _refused(said: str) -> str:
    """The name of the parameter that a server's error is about, if we can do without it."""
    if "max_completion_tokens" in said:
        return "max_tokens"
    return next((name for name in OPTIONAL_PARAMETERS if name in said), "")


def _words(error: Any) -> str:
    """What the server said about the error, on one short line."""
    body = error.body if isinstance(error.body, dict) else {}
    text = str(body.get("message") or body.get("detail") or error.response.text)
    return "a web page" if text.lstrip()[:1] == "<" else " ".join(text.split())[:200]
