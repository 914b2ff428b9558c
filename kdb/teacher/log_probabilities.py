"""A server that says how probable a token is after a prompt: what a student of yes/no questions needs of one.

The likeliest tokens, which every server tells, are no help: the answers of a small student are not among them.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import Struct

from kdb.records import Usage
from kdb.teacher import (
    Answer,
    Identity,
    NotAnAnswer,
    ParameterRefused,
    Request,
    ScoredToken,
    TeacherUnavailable,
    Unanswered,
)
from kdb.teacher.openai_server import OpenAIServer
from kdb.teacher.openai_wire import counted_usage

FORMS = ("logit_bias", "echo")
"""How a server is asked: to write the token, made the likeliest by a bias that log probabilities do not show, or to
read it after the prompt. The first lets servers keep what they have read; not all that know one know the other, and
llama-cpp-python's echo is one token late (its issue 1983), which the number of tokens shows.
"""
BIAS = 100
"""The most that servers take; logits differ by less."""
UNKNOWN_FORM = (400, 422, 500, 501)
"""How servers answer to what they do not know: llama-cpp-python by 500."""
HINT = "vLLM does, and llama-cpp-python's server unless --logits_all is false"


class LogProbServer(OpenAIServer):
    """Answers with the log probability of a token, as text; TeacherUnavailable where the server gives none."""

    def __init__(self, identity: Identity, url: str, timeout: float) -> None:
        super().__init__(identity, url, timeout)
        self._refused: dict[str, str] = {}
        """Forms that the server does not know, and what it does instead."""
        self._answered = False

    def _open(self, body: dict[str, Any]) -> Any:
        create = self._client.completions.with_streaming_response.create
        return create(model="", prompt="", extra_body=body)

    def _encode(self, request: Request, without: frozenset[str]) -> dict[str, Any]:
        form = next((form for form in FORMS if form not in self._refused), None)
        if form is None:
            raise self._unavailable()
        return {"model": self.identity.model, **encode_scored(request, form), **self.identity.extra}

    def _decode(self, reply: bytes, seconds: float, request: Request, body: dict[str, Any]) -> Answer:
        assert request.scored
        try:
            answer = decode_scored(reply, seconds, request.scored, "echo" in body)
        except _NotGiven as error:
            raise self._refuse(body, str(error)) from None
        self._answered = True
        return answer

    def _drop(self, error: Any, body: dict[str, Any], without: frozenset[str]) -> None:
        if error.status_code in UNKNOWN_FORM and not self._answered:
            raise self._refuse(body, f"answers {error.status_code}: {self._said(error)}")

    def _refuse(self, body: dict[str, Any], why: str) -> Unanswered:
        form = "echo" if "echo" in body else "logit_bias"
        self._refused = self._refused | {form: why}
        return self._unavailable() if self._refused.keys() >= set(FORMS) else ParameterRefused(form)

    def _unavailable(self) -> TeacherUnavailable:
        instead = "; ".join(dict.fromkeys(self._refused.values()))
        return TeacherUnavailable(
            f"{self.identity.server} gives no log probability of an answer: it {instead}", HINT
        )


def encode_scored(request: Request, form: str) -> dict[str, Any]:
    """The body of a completion request that asks for the log probability of a token in one of FORMS."""
    scored = request.scored
    assert scored
    text, ids = request.messages[0]["content"], scored.prompt
    body: dict[str, Any] = {"prompt": text if scored.is_text else ids, "max_tokens": 1, "temperature": 0.0}
    body |= {"logprobs": 1, "add_special_tokens": False}
    if form == "echo":
        return body | {"prompt": text + scored.text if scored.is_text else [*ids, scored.token], "echo": True}
    return body | {"logit_bias": {str(scored.token): BIAS}}


class _LogProbs(Struct):
    tokens: list[str]
    token_logprobs: list[float | None]


class _Choice(Struct):
    logprobs: _LogProbs | None = None


class _Completion(Struct):
    choices: list[_Choice]
    usage: Any = None
    model: str | None = None


class _NotGiven(ValueError):
    """What a server does in place of what it is asked for."""


def decode_scored(body: bytes, seconds: float, scored: ScoredToken, echo: bool) -> Answer:
    """The log probability in a reply's body, as text.

    NotAnAnswer where that is no completion, ValueError where it holds none, or one of another token.
    """
    try:
        found = msgspec.json.decode(body, type=_Completion)
        logprobs = found.choices[0].logprobs
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
        raise NotAnAnswer("what is no completion", malformed=True) from None
    if logprobs is None:
        raise _NotGiven("gives no logprobs")
    read = len(scored.prompt) + echo
    count, expected = len(logprobs.token_logprobs), read + 1 if echo else 1
    if count != expected or len(logprobs.tokens) != count:
        raise _NotGiven(f"gives {count} log probabilities for {expected} tokens")
    usage = counted_usage(found.usage)
    if usage and usage.prompt_tokens != read:
        raise _NotGiven(f"reads {usage.prompt_tokens} tokens of a text of {read}")
    if not echo and logprobs.tokens[0] != scored.text:
        raise _NotGiven(f"gives that of {logprobs.tokens[0]!r} in place of {scored.text!r}")
    value = logprobs.token_logprobs[read - 1 if echo else 0]
    if value is None or not math.isfinite(value):
        raise _NotGiven("gives no number")
    if not echo and value > -1e-6:
        raise _NotGiven("gives log probabilities that show the bias")
    estimated = usage is None
    return Answer(repr(value), usage or Usage(read, 1), "stop", seconds, found.model or "", estimated)
