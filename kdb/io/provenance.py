"""Hashes, versions and identities: what a `run` record needs so that a run can be repeated."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Collection
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

PACKAGES = ("kdb", "torch", "transformers", "peft", "sentence-transformers", "xgrammar", "scikit-learn")


def content_hash(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of `value` as JSON with sorted keys."""
    encoded = msgspec.json.encode(value, order="sorted")
    return hashlib.sha256(encoded).hexdigest()[:16]


def file_hash(path: Path, without: Collection[str] = ()) -> str:
    """The first 16 hex digits of a file's SHA-256; for a folder, of the hashes of the files in it.

    Files of the names `without` are left out.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.name not in without)
        return content_hash([[str(p.relative_to(path)), file_hash(p)] for p in files])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that shape a result, of those that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
