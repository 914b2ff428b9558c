"""The folder in which a training works until its adapter is whole, and nothing that others put there is lost."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from kdb.errors import KdbError, UsageError
from kdb.files import PARTIAL

SUFFIX = PARTIAL
LOCK = "lock"
OURS = (LOCK, "README.md", "experts", "*.json", "*.safetensors", "checkpoint.pt", "checkpoint.pt.part")
"""What a training writes; a folder that holds anything else is not deleted."""


def check_output(folder: Path, force: bool) -> None:
    """UsageError where the output is there and may not be replaced."""
    if not folder.exists() and not folder.is_symlink():
        return
    if not force:
        raise UsageError(f"{folder} exists", "name another folder or pass --force")
    check_ours(folder)


def check_ours(folder: Path) -> None:
    """UsageError where a folder holds what no training of kdb put there."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "name another one")
    for path in sorted(folder.iterdir()):
        if not any(fnmatch(path.name, pattern) for pattern in OURS):
            raise UsageError(f"{folder} holds {path.name}, which kdb train did not make", "name another folder")


@contextmanager
def working_folder(folder: Path, resume: bool = False, force: bool = False) -> Iterator[Path]:
    """`FOLDER.kdb-part`, kept as it is with `resume`, else empty; it becomes FOLDER once all is done.

    UsageError where FOLDER may not be replaced, KdbError where another training works for it.
    """
    check_output(folder, force)
    part = folder.with_name(folder.name + SUFFIX)
    if part.exists():
        check_ours(part)
    part.mkdir(parents=True, exist_ok=True)
    with (part / LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KdbError(f"another kdb train works in {part}", "wait for it, or name another folder") from None
        if not resume:
            _empty(part)
        yield part
        (part / LOCK).unlink()
        _replace(part, folder)


def _empty(part: Path) -> None:
    for path in part.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _replace(part: Path, folder: Path) -> None:
    """Give the folder its name; what had it goes once the new one stands there."""
    old = folder.with_name(folder.name + SUFFIX + "-replaced")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.replace(old)
    part.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
