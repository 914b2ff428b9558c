"""Parts by name: a folder's registry says where each part is defined, and a part is imported when it is used.

A registry is a dict in the `__init__` of a folder, `{"pattern": "kdb.extraction.pattern:PatternFormat", ...}`.
Its names can be listed in a help text without importing anything heavy.
"""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any

from kdb.errors import UsageError


def load(registry: Mapping[str, str], name: str, what: str = "part") -> Any:
    """The object that `registry[name]` points at; `what` says in a message what it is ("metric", "baseline").

    Raises UsageError for a name that is not in the registry, with the nearest one and all of them. An entry that
    points at nothing is a fault of the code and raises ImportError or AttributeError.
    """
    check(registry, name, what)
    return pkgutil.resolve_name(registry[name])


def check(known: Iterable[str], name: str, what: str = "part") -> str:
    """`name`, if it is one of the known names; else UsageError with the nearest one and all of them."""
    names = list(known)
    if name not in names:
        raise UsageError(f"{what} {name!r} does not exist", f"{nearest(names, name)}one of: {', '.join(names)}")
    return name


def nearest(known: Iterable[str], name: str) -> str:
    """The start of a hint, such as "did you mean 'rule'? ", or nothing where no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}? " if near else ""
