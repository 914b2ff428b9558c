"""The titles of products: cleaned, and seen as missing where a placeholder stands for them."""

from __future__ import annotations

import html

PLACEHOLDERS = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>", "\\n", "unknown"})
"""What programs write for a value that is not there, in lower case: pandas, R, Python, SQL, MySQL's dumps."""


def is_missing(text: str) -> bool:
    """Whether `text` is blank or a placeholder, in whatever case."""
    return (len(text) < 64 and text.strip().lower() in PLACEHOLDERS) or not text.strip()


def clean(text: str) -> str:
    """`text` with HTML entities resolved until none is left, and white space folded to single blanks."""
    while "&" in text and (plain := html.unescape(text)) != text:
        text = plain
    return " ".join(text.split())


def clean_title(text: str) -> str:
    """`text` cleaned, or "" where it is missing."""
    text = clean(text)
    return "" if is_missing(text) else text
