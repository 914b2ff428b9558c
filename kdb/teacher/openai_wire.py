"""The OpenAI protocol: a request as the body of a chat completion, and what a server replied as an answer.

Servers and batch files share it. It is lenient in form, since many servers only resemble OpenAI's: content as a
text, as a list of chunks or as null; counts as null, as fractions or absent; one body or a stream of events.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import msgspec
from msgspec import Struct

from kdb.records import Usage
from kdb.teacher import Answer, NotAnAnswer, Request
from kdb.teacher.answer_check import problem

LIMIT_NAMES = ("max_tokens", "max_completion_tokens")
"""The limit on an answer's length: its old name, which servers know, and one that newer models insist on."""

SCHEMA_FORMATS = ("json_schema", "json_object schema", "json_object")
"""Ways to ask for JSON, the strictest first; llama.cpp and others know the second, a schema beside the type.

Where a server knows none, the prompt alone asks for it."""

GRAMMAR_NAMES = ("structured_outputs", "guided_grammar")
"""vLLM's parameters for a grammar, now and before its version 0.12. It ignores the one that it does not know."""

OPTIONAL_PARAMETERS = (*GRAMMAR_NAMES, "response_format", "stream_options", "seed", "temperature", *LIMIT_NAMES[:1])
"""Parameters that we can do without, or name otherwise."""

STREAM = "stream"
"""A server that only streams refuses a body without it."""

OWN_FIELDS = ("model", "messages", "temperature", "seed", "response_format", "n", *LIMIT_NAMES, *GRAMMAR_NAMES)
"""What we say ourselves, and no further field of a body may say."""

MOST_TOKENS = 10**9
"""No reply has more: a count above it is none."""


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
    beside = {"schema": request.schema} if kind == "json_object schema" else {}
    return {"response_format": {"type": "json_object", **beside}}


def step_of(name: str, body: dict[str, Any]) -> str:
    """What is left out when a server refuses a parameter: the parameter, or one way to ask for JSON by it."""
    form = body.get(name) if name == "response_format" else None
    return f"{name}:{form['type']}{' schema' if 'schema' in form else ''}" if form else name


class _Message(Struct):
    content: Any = None
    refusal: Any = None
    reasoning: Any = None
    reasoning_content: Any = None


class _Choice(Struct):
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: Any = None


class _Completion(Struct):
    """The part of a chat completion, or of one event of a stream, that matters here.

    Only where the answer stands is checked: a good answer is not lost for what else a server says beside it.
    """

    choices: list[_Choice] | None = None
    usage: Any = None
    model: Any = None
    error: Any = None
    detail: Any = None
    message: Any = None


_COMPLETION = msgspec.json.Decoder(_Completion)


def decode_reply(body: bytes, seconds: float = 0.0, request: Request | None = None) -> Answer:
    """The answer in a reply's body; NotAnAnswer says what the body is instead.

    Where the server counted no tokens, they are guessed from the texts.
    """
    parts = _parts(body)
    choices = [part.choices[0] for part in parts if part.choices]
    failures = [part.error or (not choices and (part.detail or part.message)) for part in parts]
    if failure := next(filter(None, failures), None):
        raise NotAnAnswer("an error", _words(failure))
    if not choices:
        raise NotAnAnswer("an empty list of choices")
    messages = [choice.message or choice.delta or _Message() for choice in choices]
    text = "".join(_text(message.content) for message in messages)
    refusal = "".join(_text(message.refusal) for message in messages)
    reasoning = "".join(_text(m.reasoning_content or m.reasoning) for m in messages)
    finish = next(filter(None, (_text(choice.finish_reason) for choice in reversed(choices))), "stop")
    counted = next(filter(None, (counted_usage(part.usage) for part in reversed(parts))), None)
    usage = counted or _guessed(request, text + reasoning)
    if reason := problem(text or (f"<think>{reasoning}" if reasoning else ""), finish, refusal):
        raise NotAnAnswer(reason, _line(refusal or text or reasoning), usage=usage)
    model = next(filter(None, (_text(part.model) for part in parts)), "")
    return Answer(text, usage, finish, seconds, model, estimated=counted is None)


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


def _text(content: Any, depth: int = 4) -> str:
    """The text of a message, whose content may be chunks, and they may hold their text in a field of a field.

    Chunks of reasoning are no part of it.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list) and depth:
        return "".join(_text(chunk, depth - 1) for chunk in content)
    if isinstance(content, dict) and depth and content.get("type") not in ("thinking", "reasoning"):
        return _text(content.get("text") or content.get("value"), depth - 1)
    return ""


def _words(failure: Any) -> str:
    said = failure.get("message") if isinstance(failure, dict) else failure
    return _line(str(said or failure))


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


def counted_usage(counts: Any) -> Usage | None:
    """What a server counted; None where it counted nothing."""
    prompt, completion = _count(counts, "prompt_tokens"), _count(counts, "completion_tokens")
    if prompt is None and completion is None:
        return None
    prompt, completion = prompt or 0, completion or 0
    cached = _count(_field(counts, "prompt_tokens_details"), "cached_tokens") or 0
    reasoning = _count(_field(counts, "completion_tokens_details"), "reasoning_tokens") or 0
    # Some servers count what was thought aloud beside the answer, and the sum shows it.
    if (_count(counts, "total_tokens") or 0) - prompt - completion == reasoning:
        completion += reasoning
    return Usage(prompt, completion, cached_tokens=min(cached, prompt), reasoning_tokens=min(reasoning, completion))


def _count(counts: Any, name: str) -> int | None:
    """A count of tokens, given as a number or as its text; None where there is none."""
    value = _field(counts, name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return round(number) if 0 <= number <= MOST_TOKENS else None


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _guessed(request: Request | None, text: str) -> Usage:
    """One token in 3.5 characters."""
    return Usage(request.prompt_tokens if request else 0, -(-2 * len(text) // 7))
