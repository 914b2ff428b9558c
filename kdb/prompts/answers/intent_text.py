"""Intents as text: words of any script, few of them, and nothing that could end a line or open a bracket."""

from __future__ import annotations

import unicodedata

MAX_WORDS = 8
MAX_CHARS = 60
WORD_CHARS = 24
UNNAMED = "bought together"
"""Stands for an intent that has no word."""

WORD = r"[^\x00-\x20\x7f-\xa0\u2028\u2029\[\]<>{}|\\]"
"""A character of a word, as grammars have it: anything but blanks, control characters and brackets."""
GRAMMAR = f'root ::= word (" " word){{0,{MAX_WORDS - 1}}}\nword ::= {WORD}{{1,{WORD_CHARS}}}'
"""The EBNF of an intent that stands alone."""

_OUTSIDE = frozenset("[]<>{}|\\")


def plain_intent(text: str) -> str:
    """An intent in the characters of the grammar, on one line, cut after so many words and characters.

    UNNAMED where it has no letter or digit.
    """
    kept = "".join(" " if c in _OUTSIDE or unicodedata.category(c)[0] in "CZ" else c for c in text)
    words = [word[:WORD_CHARS] for word in kept.split()][:MAX_WORDS]
    while len(words) > 1 and len(" ".join(words)) > MAX_CHARS:
        words.pop()
    found = " ".join(words).strip(" ,&'/-.:;")
    return found if any(c.isalnum() for c in found) else UNNAMED
