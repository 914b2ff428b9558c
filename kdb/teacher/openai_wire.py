"""The OpenAI protocol: a request as the body of a chat completion, and what a server replied as an answer.

Servers and batch files share it. It is lenient in form, since many servers only resemble OpenAI's: content as a
text, as a list of chunks or as null; counts as null, as fractions or absent; one body or a stream of events.
"""

from __future__ import annotations

import math
from collections.abc import Set
from typing import Any

import msgspec
from msgspec import Struct

from kdb.records import Usage
from kdb.teacher import Answer, NotAnAnswer, Request
from kdb.teacher.answer_check import problem

LIMIT_NAMES = ("max_tokens", "max_completion_tokens")
"""The limit on an answer's length: its old name, which servers know, and one that newer models insist on."""

SCHEMA_FORMATS = ("json_schema", "json_object")
"""Ways to ask for JSON, the strictest first. Where a server knows none, the prompt alone asks for it."""

GRAMMAR_NAMES = ("structured_outputs", "guided_grammar")
"""vLLM's parameters for a grammar, now and before its version 0.12. It ignores the one that it does not know."""

OPTIONAL_PARAMETERS = (*GRAMMAR_NAMES, "response_format", "stream_options", "seed", "temperature", *LIMIT_NAMES[:1])
"""Parameters that we can do without, or name otherwise."""

STREAM = "stream"
"""A server that only streams refuses a body without it."""

OWN_FIELDS = ("model", "messages", "temperature", "seed", "response_format", "n", *LIMIT_NAMES, *GRAMMAR_NAMES)
"""What we say ourselves, and no further field of a body may say."""


def encode_request(
    request: Request, model: str, without: Set[str] = frozenset(), extra: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The body of a chat completion request, without the parameters that the server is known to refuse."""
    sampling = request.sampling
    body: dict[str, Any] = {"model": model, "messages": request.messages}
    optional = {
        "temperature": sampling.temperature,
        "seed": sampling.seed,
        **_form(request, without),
        **({"stream": True, "stream_options": {"include_usage": True}} if STREAM in without else {}),
    }
    body |= {name: value for name, value in optional.items() if name == STREAM or name not in without}
    if limit := next((name for name in LIMIT_NAMES if name not in without), None):
        body[limit] = sampling.max_tokens
    return body | (extra or {})


def _form(request: Request, without: Set[str]) -> dict[str, Any]:
    """What holds an answer to its form: a grammar where the server may take one, else a JSON schema.

    Without a grammar its schema must be kept to the letter, for the prompt does not ask for JSON.
    """
    grammars = {"structured_outputs": {"grammar": request.grammar}, "guided_grammar": request.grammar}
    if request.grammar and not without >= grammars.keys():
        return grammars
    kinds = SCHEMA_FORMATS[:1] if request.grammar else SCHEMA_FORMATS
    kind = next((kind for kind in kinds if f"response_format:{kind}" not in without), None)
    if request.schema is None or kind is None:
        return {}
    if kind == "json_schema":
        schema = {"name": "answer", "schema": request.schema, "strict": True}
        return {"response_format": {"type": kind, "json_schema": schema}}
    return {"response_format": {"type": kind}}


class _Message(Struct):
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning: Any = None
    reasoning_content: Any = None


class _Choice(Struct):
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None


class _Completion(Struct):
    """The part of a chat completion, or of one event of a stream, that matters here."""

    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    model: str | None = None
    error: Any = None


_COMPLETION = msgspec.json.Decoder(_Completion)


def decode_reply(body: bytes, seconds: float = 0.0, request: Request | None = None) -> Answer:
    """The answer in a reply's body; NotAnAnswer says what the body is instead.

    Where the server counted no tokens, they are guessed from the texts.
    """
    parts = _parts(body)
    failure = next((part.error for part in parts if part.error), None)
    if failure:
        raise NotAnAnswer("an error", _words(failure))
    choices = [part.choices[0] for part in parts if part.choices]
    if not choices:
        raise NotAnAnswer("an empty list of choices")
    messages = [choice.message or choice.delta or _Message() for choice in choices]
    text = "".join(_text(message.content) for message in messages)
    refusal = "".join(message.refusal or "" for message in messages)
    reasoning = "".join(_text(m.reasoning_content or m.reasoning) for m in messages)
    finish = next((c.finish_reason for c in reversed(choices) if c.finish_reason), "stop")
    counts = next((part.usage for part in reversed(parts) if part.usage), None)
    usage = _usage(counts) or _guessed(request, text + reasoning)
    if reason := problem(text or (f"<think>{reasoning}" if reasoning else ""), finish, refusal):
        raise NotAnAnswer(reason, _line(refusal or text or reasoning), usage=usage)
    model = next((part.model for part in parts if part.model), "")
    return Answer(text, usage, finish, seconds, model, estimated=_usage(counts) is None)


def _parts(body: bytes) -> list[_Completion]:
    """The completion, or the events of a stream, in a body."""
    try:
        if body.lstrip().startswith((b"data:", b"event:", b":")):
            lines = (line.partition(b"data:")[2].strip() for line in body.splitlines() if line.startswith(b"data:"))
            return [_COMPLETION.decode(line) for line in lines if line and line != b"[DONE]"]
        return [_COMPLETION.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = "is the address right? it often ends in /v1"
        raise NotAnAnswer(_instead(body, error), hint=hint, malformed=True) from None


def _instead(body: bytes, error: Exception) -> str:
    if not body.strip():
        return "nothing"
    if body.lstrip()[:1] == b"<":
        return "a web page"
    if isinstance(error, msgspec.ValidationError):
        return "JSON that is no chat completion"
    return "broken JSON"


def _text(content: Any) -> str:
    """The text of a message, whose content may be a list of chunks."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_text(chunk.get("text") if isinstance(chunk, dict) else chunk) for chunk in content)
    return ""


def _words(failure: Any) -> str:
    said = failure.get("message") if isinstance(failure, dict) else failure
    return _line(str(said or failure))


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


def _usage(counts: dict[str, Any] | None) -> Usage | None:
    """What a server counted; None where it counted nothing."""
    if not counts:
        return None
    prompt, completion = _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens"))
    if prompt is None and completion is None:
        return None
    prompt, completion = prompt or 0, completion or 0
    cached = _count((counts.get("prompt_tokens_details") or {}).get("cached_tokens")) or 0
    reasoning = _count((counts.get("completion_tokens_details") or {}).get("reasoning_tokens")) or 0
    # Some servers count what was thought aloud beside the answer, and the sum shows it.
    if (_count(counts.get("total_tokens")) or 0) - prompt - completion == reasoning:
        completion += reasoning
    return Usage(prompt, completion, cached_tokens=min(cached, prompt), reasoning_tokens=min(reasoning, completion))


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return round(value)


def _guessed(request: Request | None, text: str) -> Usage:
    """One token in 3.5 characters."""
    return Usage(request.prompt_tokens if request else 0, -(-2 * len(text) // 7))
