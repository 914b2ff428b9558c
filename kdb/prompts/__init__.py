"""Every prompt is a text file in this folder; this module is the only renderer.

What is filled in is data, never instructions: `sanitized` takes from a text whatever could end a message, open
another role or start a line, and a filled-in text is never itself searched for fields.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from string import Template

TITLE_LENGTH = 120
"""Titles are shortened to so many characters in prompts; real ones run to 748."""

# Chat templates mark roles with <|...|>, <...> or [...]: without these brackets no title can forge one.
_BRACKETS = str.maketrans("<>[]", "‹›()")


@cache
def template(name: str) -> str:
    """The text of `NAME.txt` with its `$fields`; KeyError where there is none."""
    file = resources.files(__package__) / f"{name}.txt"
    if not file.is_file():
        raise KeyError(name)
    return file.read_text(encoding="utf-8").strip("\n")


def names() -> list[str]:
    """All prompts."""
    files = resources.files(__package__).iterdir()
    return sorted(file.name.removesuffix(".txt") for file in files if file.name.endswith(".txt"))


def template_hash(*names: str) -> str:
    """16 hex digits that change when one of these prompts does."""
    return hashlib.sha256("\0".join(template(n) for n in names).encode()).hexdigest()[:16]


def render(name: str, fields: Mapping[str, str]) -> str:
    """The prompt with its fields filled in, in one pass: a `$` in a field means nothing."""
    return Template(template(name)).substitute(fields)


def sanitized(text: str, limit: int = TITLE_LENGTH) -> str:
    """`text` on one line, without control characters or brackets of chat markup, cut at `limit` characters."""
    text = text[: 8 * limit]
    if not text.isprintable():  # hardly ever, and this test is fast
        text = "".join(" " if unicodedata.category(c).startswith("C") else c for c in text)
    text = re.sub(r"\s+", " ", text.translate(_BRACKETS)).strip()
    if len(text) <= limit:
        return text
    # At a blank if there is one near the end, so that no word is cut in a normal title.
    return text[: max(text.rfind(" ", limit - 20, limit), limit - 20)].rstrip() + "…"


def sanitized_text(text: str) -> str:
    """`text` line by line as `sanitized` would have it, nothing cut: a thought may have paragraphs."""
    return "\n".join(sanitized(line, max(len(line), 1)) for line in text.splitlines())


def numbered(titles: Iterable[str]) -> str:
    """The titles as lines `1. title`, counted from 1."""
    return "\n".join(f"{n}. {sanitized(title)}" for n, title in enumerate(titles, 1))
