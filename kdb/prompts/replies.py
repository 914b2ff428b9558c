"""Reads what a large model wrote: one JSON object, wherever in its answer it stands."""

from __future__ import annotations

import json
import re
import threading
from typing import Any, TypeVar

import msgspec

from kdb import prompts

T = TypeVar("T")

THOUGHTS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
)
"""What models put before and after what they think aloud."""

_FIRST_USE = threading.Lock()
"""msgspec reads the fields of a struct when it first meets it, and crashes if two threads do so at once."""

_ATTEMPTS = 64
"""How many opening braces are tried: an answer of nothing but braces is not read a thousand times."""


def strip_reasoning(text: str) -> str:
    """A text without what its model thought aloud.

    A template may open the tag in the prompt, so that only its end is in the text; an answer that was cut off
    may hold only its start.
    """
    for start, end in THOUGHTS:
        text = re.sub(f"(?s){re.escape(start)}.*?{re.escape(end)}", "", text)
        text = text.rpartition(end)[2].partition(start)[0]
    return text


def json_object(text: str) -> dict[str, Any]:
    """The first JSON object in a text, past what a model thought aloud; ValueError where there is none."""
    text = strip_reasoning(text)
    decoder = json.JSONDecoder()
    braces = [match.start() for match, _ in zip(re.finditer(r"\{", text), range(_ATTEMPTS), strict=False)]
    for start in braces:
        try:
            found, _ = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            continue
        return found
    raise ValueError("there is no JSON object in it")


def to_struct(data: dict[str, Any], shape: type[T]) -> T:
    """The object as a struct; ValueError names the first field that does not fit."""
    try:
        with _FIRST_USE:
            return msgspec.convert(data, shape, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def assistant_message(text: str) -> dict[str, str]:
    """An answer as its author's turn in the conversation: the JSON in it, or its words, made harmless.

    A model repeats titles, and a title must not open a role even so.
    """
    try:
        content = json.dumps(_harmless(json_object(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        content = prompts.sanitized(text, 4000)
    return {"role": "assistant", "content": content}


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return prompts.sanitized(value, 1000)
    if isinstance(value, list):
        return [_harmless(entry) for entry in value]
    if isinstance(value, dict):
        return {prompts.sanitized(name): _harmless(entry) for name, entry in value.items()}
    return value
