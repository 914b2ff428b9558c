"""A request as the OpenAI protocol has it, for servers and for batch files alike."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from kdb.teacher import Request

LIMIT_NAMES = ("max_tokens", "max_completion_tokens")
"""The limit on an answer's length: its old name, which servers know, and one that newer models insist on."""

SCHEMA_FORMATS = ("json_schema", "json_object")
"""Ways to ask for JSON, the strictest first. Where a server knows none, the prompt alone asks for it."""

GRAMMAR_NAMES = ("structured_outputs", "guided_grammar")
"""vLLM's parameters for a grammar, now and before its version 0.12. It ignores the one that it does not know."""


def encode_request(request: Request, model: str, dropped: Set[str] = frozenset()) -> dict[str, Any]:
    """The body of a chat completion request, without the parameters that the server is known to refuse."""
    sampling = request.sampling
    body: dict[str, Any] = {"model": model, "messages": request.messages}
    optional = {
        "temperature": sampling.temperature,
        "seed": sampling.seed,
        **_form(request, dropped),
    }
    body |= {name: value for name, value in optional.items() if value is not None and name not in dropped}
    if limit := next((name for name in LIMIT_NAMES if name not in dropped), None):
        body[limit] = sampling.max_tokens
    return body


def _form(request: Request, dropped: Set[str]) -> dict[str, Any]:
    """What holds an answer to its form: a grammar where the server may take one, else a JSON schema.

    Without a grammar its schema must be kept to the letter, for the prompt does not ask for JSON.
    """
    grammars = {"structured_outputs": {"grammar": request.grammar}, "guided_grammar": request.grammar}
    if request.grammar and not dropped >= grammars.keys():
        return grammars
    kinds = SCHEMA_FORMATS[:1] if request.grammar else SCHEMA_FORMATS
    kind = next((kind for kind in kinds if f"response_format:{kind}" not in dropped), None)
    if request.schema is None or kind is None:
        return {}
    if kind == "json_schema":
        schema = {"name": "answer", "schema": request.schema, "strict": True}
        return {"response_format": {"type": kind, "json_schema": schema}}
    return {"response_format": {"type": kind}}
