"""Bytes by key in one SQLite file, which several threads and several processes may use at once."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kdb.errors import KdbError

_BLOCK = 256
"""Keys in one query: SQLite bounds the number of parameters."""


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep out other processes that begin in this folder: SQLite does not wait where a file becomes a WAL file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class DiskCache:
    """What is put is on disk before `put` returns, so a process that is killed loses nothing of it.

    A file that cannot be read or written raises KdbError; `hint` says in it what to do.
    """

    def __init__(self, path: Path, table: str = "entries", hint: str = "move it away, or set KDB_CACHE") -> None:
        self.path = path
        self._table, self._hint, self._lock = table, hint, threading.Lock()
        with self._guard():
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._guard(), _alone(path.parent):
            self._db = sqlite3.connect(path, timeout=120, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            # A killed process loses nothing under NORMAL; a power failure may lose the last entries.
            self._db.execute("pragma synchronous = normal")
            self._db.execute(f"create table if not exists {table} (key blob primary key, value blob not null)")

    def get(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """The values of those keys that are there."""
        wanted, found = list(keys), dict[bytes, bytes]()
        with self._guard():
            for start in range(0, len(wanted), _BLOCK):
                block = wanted[start : start + _BLOCK]
                marks = ",".join("?" * len(block))
                found.update(self._db.execute(f"select * from {self._table} where key in ({marks})", block))
        return found

    def put(self, entries: Mapping[bytes, bytes], replace: bool = True) -> None:
        """Store all of these or none; with `replace` false, what is there already stays."""
        verb = "replace" if replace else "ignore"
        with self._guard(), self._db:
            self._db.execute("begin immediate")
            self._db.executemany(f"insert or {verb} into {self._table} values (?, ?)", entries.items())

    def values(self) -> Iterator[bytes]:
        """All values, by key."""
        with self._guard():
            rows = self._db.execute(f"select * from {self._table} order by key").fetchall()
        yield from (value for _, value in rows)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (sqlite3.Error, OSError) as error:
            raise KdbError(f"{self.path}: the cache cannot be used: {error}", self._hint) from None
