"""What a server replied, as an answer: a chat completion of the OpenAI protocol, whoever wrote it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from kdb.records import Usage
from kdb.teacher import Answer


class Message(Struct):
    """The message of a choice; `content` is null where a model refuses or calls a tool."""

    content: str | None = None


class Choice(Struct):
    """One of the answers, of which we ask for one."""

    message: Message
    finish_reason: str | None = None


class Tokens(Struct):
    """What a server counted; some count nothing."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Completion(Struct):
    """The part of a chat completion that matters here."""

    choices: list[Choice]
    usage: Tokens | None = None


_COMPLETION = msgspec.json.Decoder(Completion)


def decode_reply(body: bytes, seconds: float = 0.0) -> Answer:
    """The answer in a reply's body; ValueError says what the body is instead."""
    try:
        completion = _COMPLETION.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(_instead(body, error)) from None
    if not completion.choices:
        raise ValueError("an empty list of choices")
    choice, tokens = completion.choices[0], completion.usage or Tokens()
    return Answer(
        text=choice.message.content or "",
        usage=Usage(tokens.prompt_tokens, tokens.completion_tokens),
        finish_reason=choice.finish_reason or "stop",
        seconds=seconds,
    )


def _instead(body: bytes, error: Exception) -> str:
    if not body.strip():
        return "nothing"
    if body.lstrip()[:1] == b"<":
        return "a web page"
    if isinstance(error, msgspec.ValidationError):
        return "JSON that is no chat completion"
    return "broken JSON"
