"""The titles of products: cleaned, and seen as missing where a placeholder stands for them."""

from __future__ import annotations

import html
import unicodedata

PLACEHOLDERS = frozenset({"", "nan", "none", "null", "na", "n/a", "n.a.", "#n/a", "<na>", "(null)", "nat", "nil"})
PLACEHOLDERS |= {"\\n", "undefined", "unknown", "missing", "not available", "no title", "untitled"}
"""What programs and people write for a value that is not there, in lower case: pandas, R, Python, SQL, Excel."""


def is_missing(text: str) -> bool:
    """Whether `text` is a placeholder, in whatever case, or holds no more than blanks and punctuation."""
    if len(text) < 64 and text.strip().lower() in PLACEHOLDERS:
        return True
    return all(unicodedata.category(character)[0] in "CPZ" for character in text)


def clean(text: str) -> str:
    """`text` with HTML entities resolved until none is left, and white space folded to single blanks."""
    while "&" in text and (plain := html.unescape(text)) != text:
        text = plain
    return " ".join(text.split())


def clean_title(text: str) -> str:
    """`text` cleaned, or "" where it is missing."""
    text = clean(text)
    return "" if is_missing(text) else text
