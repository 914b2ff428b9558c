"""The folder in which a training works until its adapter is whole, and nothing that others put there is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from kdb.errors import UsageError
from kdb.io.files import atomic_folder, partial

OURS = (
    "README.md",
    "experts",
    "intents",
    "cross_fitting",
    "*.json",
    "*.safetensors",
    "checkpoint.pt",
    "checkpoint.pt.part",
)
"""What a training writes; a folder that holds anything else is not deleted."""


def check_output(folder: Path, force: bool) -> None:
    """UsageError where the output is there and may not be replaced."""
    if folder.exists() and not force:
        raise UsageError(f"{folder} exists", "name another folder or pass --force")
    for own in (folder, partial(folder)):
        if own.exists():
            _check_ours(own)


@contextmanager
def working_folder(folder: Path, resume: bool = False, force: bool = False) -> Iterator[Path]:
    """`partial(folder)`, kept as it is with `resume`, else empty; it becomes FOLDER once all is done.

    UsageError where FOLDER may not be replaced, KdbError where another training works for it.
    """
    check_output(folder, force)
    with atomic_folder(folder, force, resume) as part:
        yield part


def _check_ours(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "name another one")
    for path in sorted(folder.iterdir()):
        if not any(fnmatch(path.name, pattern) for pattern in OURS):
            raise UsageError(f"{folder} holds {path.name}, which kdb train did not make", "name another folder")
