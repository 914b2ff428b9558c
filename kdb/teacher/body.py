"""A request as the OpenAI protocol has it, for servers and for batch files alike."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kdb.teacher import Request

LIMIT_NAMES = ("max_tokens", "max_completion_tokens")
"""The limit on an answer's length: its old name, which servers know, and one that newer models insist on."""

SCHEMA_FORMATS = ("json_schema", "json_object")
"""Ways to ask for JSON, the strictest first. Where a server knows none, the prompt alone asks for it."""


def chat_body(request: Request, model: str, dropped: Collection[str] = ()) -> dict[str, Any]:
    """The body of a chat completion request, without the parameters that the server is known to refuse."""
    sampling = request.sampling
    body: dict[str, Any] = {"model": model, "messages": request.messages}
    optional = {
        "temperature": sampling.temperature,
        "seed": sampling.seed,
        "response_format": _response_format(request, dropped),
    }
    body |= {name: value for name, value in optional.items() if value is not None and name not in dropped}
    if limit := next((name for name in LIMIT_NAMES if name not in dropped), None):
        body[limit] = sampling.max_tokens
    return body


def _response_format(request: Request, dropped: Collection[str]) -> dict[str, Any] | None:
    kind = next((kind for kind in SCHEMA_FORMATS if f"response_format:{kind}" not in dropped), None)
    if kind == "json_schema":
        schema = {"name": "answer", "schema": request.schema, "strict": True}
        return {"type": kind, "json_schema": schema}
    return {"type": kind} if kind else None
