"""Category paths of a product, in the forms that shops write them in."""

from __future__ import annotations

import ast
import re
from typing import Any

import msgspec

from kdb.sources.titles import clean, is_missing

FORMS = 'a JSON or Python list of names or of paths, [[name,name],[name]], "A > B > C" or "A|B"'


def parse(text: str) -> list[list[str]]:
    """Every path in `text`, each from the broadest name to the narrowest; none where the category is missing.

    Read are JSON and Python lists (of names: one path; of lists: a path each), the BundleRec form
    `[[Food,Brittle, Caramel & Toffee],[Gifts]]`, where a comma before a blank belongs to a name, `A > B > C`
    (several paths with `|` between), and `A|B` as one path. Any other text is one name. ValueError where a list
    is broken.
    """
    text = text.strip()
    if is_missing(text):
        return []
    if text[0] in "[({":
        return named(_list(text))
    if ">" in clean(text):
        return named([path.split(">") for path in clean(text).split("|")])
    return named([text.split("|")])


def named(paths: list[list[str]]) -> list[list[str]]:
    """The paths with names cleaned, without missing names and without paths that hold no other."""
    cleaned = [[name for part in path if not is_missing(name := clean(part))] for path in paths]
    return [path for path in cleaned if path]


def _list(text: str) -> list[list[str]]:
    value = _literal(text)
    if value is None:
        return _bundlerec(text)
    if all(isinstance(part, str) for part in value):
        return [list(value)]
    if all(isinstance(path, list | tuple) and all(isinstance(name, str) for name in path) for path in value):
        return [list(path) for path in value]
    raise ValueError(f"expected {FORMS}")


def _literal(text: str) -> list[Any] | None:
    """`text` as a JSON or a Python list, or None where it is neither."""
    try:
        return msgspec.json.decode(text, type=list)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        pass
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return list(value) if isinstance(value, list | tuple) else None


def _bundlerec(text: str) -> list[list[str]]:
    """The public form, which has no quotes; a name in quotes is of a broken list of another form."""
    if not (text.startswith("[[") and text.endswith("]]") and len(text) >= 4):
        raise ValueError(f"expected {FORMS}")
    paths = [re.split(r",(?!\s)", path) for path in text[2:-2].split("],[")]
    if any(re.fullmatch(r"\s*([\"']).*\1\s*", name) for path in paths for name in path):
        raise ValueError(f"expected {FORMS}")
    return paths
