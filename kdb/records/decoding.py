"""A line of JSON becomes a record: of this version or an older one, or an error that names the field."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from kdb import __version__
from kdb.records.base import SCHEMA_VERSION, Record
from kdb.records.upgrade import CHANGED, upgrade


class KindOnly(Struct):
    """What every line must have; a record without a version is one of version 1."""

    kind: str
    v: Any = 1


_KIND = msgspec.json.Decoder(KindOnly)


def decode(text: str | bytes, decoders: dict[str, msgspec.json.Decoder]) -> tuple[str, Any]:
    """The kind of a line, and its record if the kind is among the decoders, else None.

    Raises ValueError with the field first and then what is wrong with it.
    """
    try:
        head = _KIND.decode(text)
        if head.kind not in decoders:
            return head.kind, None
        if isinstance(head.v, int) and head.v > SCHEMA_VERSION:
            known = f"kdb {__version__} reads up to version {SCHEMA_VERSION}"
            raise ValueError(f"v: a {head.kind} of version {head.v}, and {known}: upgrade kdb")
        decoder = decoders[head.kind]
        if head.v == SCHEMA_VERSION or head.kind not in CHANGED:
            return head.kind, decoder.decode(text)
        return head.kind, msgspec.convert(upgrade(head.kind, msgspec.json.decode(text)), decoder.type)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise ValueError(format_decode_error(error)) from None


def with_fields(text: str, record: type[Record], kind: str, **fields: Any) -> tuple[str, Any]:
    """The line with some fields set, or taken out (UNSET), the others as they were, and its record.

    It is of the version of today.
    """
    try:
        data = {**upgrade(kind, msgspec.json.decode(text)), **fields}
        data = {name: value for name, value in data.items() if value is not msgspec.UNSET}
        return msgspec.json.encode(data).decode(), msgspec.convert(data, record)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(format_decode_error(error)) from None


def format_decode_error(error: Exception) -> str:
    """A decoder's complaint in our words: the field first, then what is wrong with it."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = str(error)
    where = re.search(r" - at `\$\.?(.*?)`$", text)
    path = where.group(1) if where else ""
    text = text[: where.start()] if where else text
    missing = re.fullmatch(r"Object missing required field `(.*)`", text)
    if missing:
        return f"missing field '{path + '.' if path else ''}{missing.group(1)}'"
    if not isinstance(error, msgspec.ValidationError):
        return f"not JSON: {text}"
    return f"{path}: {text}" if path else text
