"""The one rule for outputs: a file is whole or not there, and nothing is replaced that is no file.

A regular file is written beside its place, under a name of its own (`NAME.kdb-part`), and renamed once it is whole:
onto what a symbolic link points at, in the mode that the old file had. Whatever else a path may name (a pipe, a
device, `/dev/stdout`, a process substitution) is written to as it is. Two runs with one output exclude each other.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from kdb.errors import KdbError, UsageError

PARTIAL = ".kdb-part"
"""What the name of an output ends in until it is whole."""


@contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """An error of the operating system becomes a KdbError that names the file."""
    try:
        yield
    except OSError as error:
        raise KdbError(f"{path}: {error.strerror or error}") from None


def partial(path: Path) -> Path:
    """Where an output is written until it is whole: beside the file that the path leads to."""
    real = Path(os.path.realpath(path))
    return real.with_name(real.name + PARTIAL)


@contextmanager
def atomic_file(path: Path, force: bool = False) -> Iterator[BinaryIO]:
    """A file to write PATH with. What a failed run had written stays in `partial(path)`.

    UsageError where a file is there and not `force`; KdbError where another run is writing it, or it cannot be.
    """
    if (descriptor := _written_through(path)) is not None:
        with _closed_quietly(_opened(path, descriptor, "wb")) as special:
            yield special
            with os_errors(path):
                special.flush()
        return
    with os_errors(path):
        _check_place(path, force)
        file = _exclusive(path)
    with _closed_quietly(file):
        file.truncate()
        try:
            yield file
        except BaseException:
            _leave(file, path)
            raise
        finish(file, path)


def finish(file: BinaryIO, path: Path) -> None:
    """Give what was written its name, in the mode of the file that was there."""
    with os_errors(path):
        file.flush()
        os.fsync(file.fileno())
        real, part = Path(os.path.realpath(path)), partial(path)
        if real.exists():
            os.fchmod(file.fileno(), stat.S_IMODE(real.stat().st_mode))
        if part.exists():  # what is finished in place has its name already
            part.replace(real)


@contextmanager
def atomic_folder(path: Path, force: bool = False, resume: bool = False, marker: str = "") -> Iterator[Path]:
    """The folder to write into until it is whole and becomes PATH; with `resume` it holds what a stopped run left.

    A folder that is there needs `force`, and must hold the file `marker`, by which kdb knows its own. The same
    errors as for files.
    """
    with os_errors(path):
        _check_folder(path, force, marker)
        part = partial(path)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir(exist_ok=True)
        descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, path)
        if not resume:
            for old in part.iterdir():
                _remove(old)
        yield part
        with os_errors(path):
            real = Path(os.path.realpath(path))
            if real.exists():
                shutil.rmtree(real)
            part.replace(real)
    finally:
        os.close(descriptor)
        with suppress(OSError):  # one with anything in it stays
            part.rmdir()


@contextmanager
def continued_file(path: Path) -> Iterator[BinaryIO]:
    """What a stopped run had written of PATH, to read and then to write to; it becomes PATH at the end.

    That is `partial(path)` where there is one, else PATH itself. Nothing changes until something is written.
    """
    part = partial(path)
    source = part if part.exists() else path
    with os_errors(path):
        if not source.is_file():
            raise KdbError(f"{source}: no such file" if not source.exists() else f"{source}: not a file")
        file: BinaryIO = source.open("r+b")
    with _closed_quietly(file):
        _lock(file.fileno(), path)
        yield file
        finish(file, path)


def cache_folder() -> Path:
    """`$KDB_CACHE`, else `kdb` in the user's cache folder; KdbError where the user has none."""
    if own := os.environ.get("KDB_CACHE"):
        return Path(own)
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise KdbError("this user has no home folder for the cache", "set KDB_CACHE to a folder") from None
    return base / "kdb"


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one regular file."""
    try:
        return one.samefile(other) and one.is_file()
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def _written_through(path: Path) -> int | None:
    """An open descriptor for what is no regular file, else None."""
    with os_errors(path):
        if number := re.fullmatch(r"/(?:dev/fd|proc/self/fd)/(\d+)|/dev/std(out|err)", _first_device(path)):
            return os.dup({"out": 1, "err": 2}.get(number[2]) or int(number[1]))
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise UsageError(f"{path}: a folder", "name a file")
            if not stat.S_ISREG(mode):
                return os.open(path, os.O_WRONLY)
    return None


def _first_device(path: Path) -> str:
    """Where links lead, no farther than into /dev or /proc: from there on they name what is open."""
    place = path.absolute()
    for _ in range(40):
        if str(place).startswith(("/dev/", "/proc/")) or not place.is_symlink():
            break
        place = place.parent / place.readlink()
    return os.path.normpath(place)


def _check_place(path: Path, force: bool) -> None:
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        raise KdbError(f"{path}: there is no folder {real.parent}")
    if real.exists() and not force:
        raise UsageError(f"{path} exists", "name another file or pass --force")
    if real.exists() and not os.access(real, os.W_OK):
        raise KdbError(f"{path}: may not be written")


def _check_folder(path: Path, force: bool, marker: str) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"{path}: a file", "name a folder")
    if not force:
        raise UsageError(f"{path} exists", "name another folder or pass --force")
    if marker and any(path.iterdir()) and not (path / marker).exists():
        raise UsageError(f"{path}: not a folder that kdb made: it holds no {marker}", "name another folder")


def _exclusive(path: Path) -> BinaryIO:
    """The partial file, open and locked; no other process has it."""
    part = partial(path)
    while True:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor, path)
            # Between opening and locking, the run that had it may have given it its final name.
            if part.exists() and os.path.samestat(os.fstat(descriptor), part.stat()):
                return _opened(part, descriptor, "r+b")
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _opened(path: Path, descriptor: int, mode: str) -> BinaryIO:
    """A file object with the name of its path, which errors then tell."""
    return cast(BinaryIO, open(path, mode, opener=lambda *_: descriptor))


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise KdbError(f"{path}: another run is writing it", "wait for it, or name another output") from None
    except OSError:
        return  # a file system without locks


@contextmanager
def _closed_quietly(file: BinaryIO) -> Iterator[BinaryIO]:
    """Close the file at the end; what could not be written was said before."""
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()


def _leave(file: BinaryIO, path: Path) -> None:
    """What a failed run had written stays; nothing is left where it had written nothing."""
    with suppress(OSError, ValueError):
        file.flush()
    with suppress(OSError):
        if not os.fstat(file.fileno()).st_size:
            partial(path).unlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
