"""A teacher behind any server that speaks the OpenAI protocol, through the official client.

One `ask` sends one request: what to do about a failure is decided by the layers around it. Here is what servers
differ in: addresses and proxies, parameters that one refuses, streams, and how an error is said.
"""

from __future__ import annotations

import os
import re
import threading
import time
from concurrent.futures import Future
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit
from urllib.request import proxy_bypass

from msgspec import structs

from kdb import console
from kdb.errors import UsageError
from kdb.teacher import (
    Answer,
    Backend,
    Identity,
    NotAnAnswer,
    ParameterRefused,
    Request,
    RequestFailed,
    RequestInvalid,
    TeacherUnavailable,
    Unanswered,
)
from kdb.teacher.config import TeacherConfig
from kdb.teacher.openai_wire import LIMIT_NAMES, OPTIONAL_PARAMETERS, STREAM, decode_reply, encode_request, step_of

HINTS = {
    401: "check the key in KDB_TEACHER_KEY",
    402: "the account has no money left",
    403: "check the key in KDB_TEACHER_KEY",
    404: "check the address, which often ends in /v1, and the model's name",
    429: "lower --concurrency, or give --set rpm=N or --set tpm=N",
}
FATAL = (401, 402, 403, 404)
"""Errors that every other request would meet too."""
PERMANENT_ERRORS = (400, 413, 422)
"""Errors that this request would meet again."""
NO_MONEY = "insufficient_quota"
"""The code of a 429 that no pause will mend."""
PATH = "/chat/completions"


class OpenAIServer(Backend):
    """A server's model. The key is read from the environment and goes nowhere but to that server."""

    def __init__(self, identity: Identity, url: str, timeout: float) -> None:
        super().__init__(identity)
        self.timeout = timeout
        self._client = open_client(url, timeout)

    @classmethod
    def open(cls, identity: Identity, config: TeacherConfig) -> Self:
        """See `Backend`; says what the server is known to refuse."""
        if identity.without:
            refused = ", ".join(sorted(identity.without)).replace(":", " ")
            console.say(f"{identity.server} is known to refuse {refused}: asked without")
        return cls(identity, address(config.teacher), config.timeout)

    def ask(self, request: Request) -> Answer:
        """The server's answer to one request that is sent."""
        import openai

        without = self.identity.without
        body = self._encode(request, without)
        started = time.monotonic()
        try:
            reply = self._send(body, started + self.timeout)
        except openai.APIStatusError as error:
            self._drop(error, body, without)
            raise self._failure(error) from None
        except openai.APITimeoutError:
            raise self._late() from None
        except openai.APIConnectionError as error:
            raise self._unreachable(error) from None
        except openai.OpenAIError as error:
            raise RequestFailed(f"{self.identity.server}: {_line(str(error))}") from None
        try:
            return self._decode(reply, time.monotonic() - started, request, body)
        except NotAnAnswer as error:
            error.message = f"{self.identity.server} {error.message}"
            raise

    def _encode(self, request: Request, without: frozenset[str]) -> dict[str, Any]:
        return encode_request(request, self.identity.model, without, self.identity.extra)

    def _decode(self, reply: bytes, seconds: float, request: Request, body: dict[str, Any]) -> Answer:
        return decode_reply(reply, seconds, request)

    def _open(self, body: dict[str, Any]) -> Any:
        """The reply, its body not yet read: the official call, in which a further body takes its body's place."""
        create = self._client.chat.completions.with_streaming_response.create
        return create(model="", messages=[], extra_body=body)

    def _send(self, body: dict[str, Any], deadline: float) -> bytes:
        """The body of the reply, whole before the deadline, however slowly its head and its parts come.

        The HTTP library bounds each read alone, so a thread of its own reads, and may be left behind.
        """
        reply: Future[bytes] = Future()

        def read() -> None:
            try:
                reply.set_result(self._read(body, deadline))
            except Exception as error:
                reply.set_exception(error)

        threading.Thread(target=read, daemon=True).start()
        try:
            return reply.result(max(deadline - time.monotonic(), 0))
        except TimeoutError:
            raise self._late() from None

    def _read(self, body: dict[str, Any], deadline: float) -> bytes:
        """The body of the reply; RequestFailed where a part of it comes after the deadline."""
        parts = []
        with self._open(body) as response:
            try:
                for part in response.iter_bytes():
                    parts.append(part)
                    if time.monotonic() > deadline:
                        raise self._late()
            except Unanswered:
                raise
            except Exception as error:  # the HTTP library's own, which the client does not translate here
                if "timeout" in type(error).__name__.lower():
                    raise self._late() from None
                raise self._broken_off(error) from None
        return b"".join(parts)

    def _drop(self, error: Any, body: dict[str, Any], without: frozenset[str]) -> None:
        """ParameterRefused where the server refuses a parameter that we can do without, which we then do."""
        # llama-cpp-python answers 500 to a parameter that it does not know.
        is_validation = error.status_code == 500 and "validation" in _words(error).lower()
        if error.status_code not in (400, 422, 501) and not is_validation:
            return
        name = refused_parameter(error.body, error.response.text)
        step = step_of(name, body)
        if step in self.identity.without and step not in without:
            raise ParameterRefused(step)  # two requests in flight together are refused for the same reason
        if not name or (name not in body and name != STREAM) or step in without:
            return
        self.identity = structs.replace(self.identity, without=self.identity.without | {step})
        said = "answers only in streams" if name == STREAM else f"refuses {step.replace(':', ' ')}"
        console.say(f"{self.identity.server} {said}: going on {'so' if name == STREAM else 'without it'}")
        raise ParameterRefused(step)

    def _failure(self, error: Any) -> Unanswered:
        said = self._said(error)
        code, message = error.status_code, f"{self.identity.server} answered {error.status_code}: {said}"
        if code in FATAL or NO_MONEY in (error.code, error.type):
            return TeacherUnavailable(message, HINTS.get(code, ""))
        if code in PERMANENT_ERRORS:
            return RequestInvalid(message)
        return RequestFailed(message, HINTS.get(code, ""), retry_after=_retry_after(error.response.headers))

    def _said(self, error: Any) -> str:
        return _words(error).replace(self._client.api_key, "***")

    def _late(self) -> RequestFailed:
        return RequestFailed(f"{self.identity.server} gave no answer within {self.timeout:g} s", billed=True)

    def _unreachable(self, error: Exception) -> RequestFailed:
        cause = error.__cause__ or error
        if type(cause).__name__ in ("ConnectError", "ProxyError", "UnsupportedProtocol", "LocalProtocolError"):
            hint = "is the server running, and is the address right?"
            return RequestFailed(f"{self.identity.server} cannot be reached: {cause}", hint, unavailable=True)
        return self._broken_off(cause)

    def _broken_off(self, cause: BaseException) -> RequestFailed:
        message = f"the connection to {self.identity.server} broke off: {type(cause).__name__}"
        return RequestFailed(message, billed=True)


def address(url: str) -> str:
    """A server's address as it is meant, for `--teacher`; UsageError where it is none.

    Blanks around it, a scheme in capitals, a slash at the end and the path of the endpoint itself do no harm;
    an address without a path stands for the usual /v1.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise UsageError(f"{url!r} is no address of a server: {error}", _LIKE) from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"\s", url):
        raise UsageError(f"{url!r} is no address of a server", _LIKE)
    path = parts.path.rstrip("/").removesuffix(PATH).rstrip("/") or "/v1"
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    host = f"[{host}]" if ":" in host else host
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{user}{host}{f':{port}' if port else ''}{path}{query}"


_LIKE = "it looks like http://localhost:8000/v1"


def without_secrets(url: str) -> str:
    """An address as it may be shown and kept: no user, no password, no query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def open_client(url: str, timeout: float) -> Any:
    """The official client of a server; UsageError where the proxies of the environment cannot be used."""
    import openai

    parts = urlsplit(url)
    options: dict[str, Any] = {
        "base_url": url.partition("?")[0],
        "default_query": dict(parse_qsl(parts.query)),
        "api_key": _key(parts.hostname or ""),
        "timeout": timeout,
        "max_retries": 0,
    }
    try:
        return openai.OpenAI(**options)
    except (ImportError, ValueError) as error:  # proxies of the environment that the HTTP library cannot use
        if proxy_bypass(parts.hostname or ""):
            return openai.OpenAI(**options, http_client=openai.DefaultHttpxClient(trust_env=False, timeout=timeout))
        hint = "set it to an address like http://host:port, or name this server in NO_PROXY"
        raise UsageError(
            f"the proxy in ALL_PROXY or HTTPS_PROXY cannot be used: {_line(str(error))}", hint
        ) from None


def _key(host: str) -> str:
    """The key for this server: OpenAI's own is never sent to anyone else. Local servers want none."""
    own = os.environ.get("OPENAI_API_KEY") if host == "api.openai.com" else None
    key = (os.environ.get("KDB_TEACHER_KEY") or own or "none").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(
            "the key in KDB_TEACHER_KEY holds characters that no request can carry",
            "check it for quotes and line ends from where it was copied",
        )
    return key


def refused_parameter(body: Any, text: str) -> str:
    """The parameter that a server's error is about, if we can do without it, else nothing.

    The error says so itself (`param`), or else names it as a whole word.
    """
    body = body if isinstance(body, dict) else {}
    error = body.get("error") if isinstance(body.get("error"), dict) else body
    named = error.get("param")
    said = str(error.get("message") or error.get("detail") or text)
    words = set(re.findall(r"\w+", said))
    if isinstance(named, str) and named:
        name = re.split(r"[.\[]", named)[0]
        if name == LIMIT_NAMES[0]:  # refused by its name, and not for its value
            return name if LIMIT_NAMES[1] in words or error.get("code") == "unsupported_parameter" else ""
        return name if name in (*OPTIONAL_PARAMETERS, STREAM) else ""
    if LIMIT_NAMES[1] in words:
        return LIMIT_NAMES[0]
    if STREAM in words and not words & set(OPTIONAL_PARAMETERS):
        return STREAM
    return next((name for name in OPTIONAL_PARAMETERS if name in words and name != LIMIT_NAMES[0]), "")


def _retry_after(headers: Any) -> float | None:
    """The seconds that a server asks us to wait, where it says so in seconds."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        return seconds if seconds >= 0 else None
    return None


def _words(error: Any) -> str:
    """What the server said about the error, on one short line."""
    body = error.body if isinstance(error.body, dict) else {}
    text = str(body.get("message") or body.get("detail") or error.response.text)
    return "a web page" if text.lstrip()[:1] == "<" else _line(text)


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
