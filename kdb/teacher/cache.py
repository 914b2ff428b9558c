"""The cache of answers, so that nothing is paid for twice: one SQLite file in the cache folder.

An answer is on disk before anything reads it, so a process that is killed loses only what was in flight. Several
processes may use one cache at once: what one of them asks, the others wait for.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from kdb import console
from kdb.errors import KdbError
from kdb.io.disk_cache import DiskCache
from kdb.io.provenance import content_hash
from kdb.teacher import Answer, Identity, Request
from kdb.teacher.answer_check import problem

FILE = "answers.sqlite"
OLD_FILE = "ledger.sqlite"
"""The cache of version 1, whose answers name no server: nobody can tell who gave them."""
POLL = 0.05
"""Seconds between two looks for an answer that another process waits for."""


class Entry(Struct):
    """An answer as it is kept, with all that tells where it came from."""

    identity: Identity
    purpose: str
    messages: list[dict[str, str]]
    """Empty where a batch brought the answer."""
    max_tokens: int
    """The limit under which it was given."""
    answer: Answer
    at: str


_ENTRY = msgspec.json.Decoder(Entry)


class AnswerCache:
    """All answers ever given, by the key of their request."""

    def __init__(self, folder: Path) -> None:
        hint = "move it away, or name another folder with --cache"
        if (folder / OLD_FILE).exists() and not (folder / FILE).exists():
            console.say(f"{folder / OLD_FILE}: of an earlier version; its answers name no server and are not used")
        self._entries = DiskCache(folder / FILE, hint=hint)
        self.path = self._entries.path
        try:
            self._claims = (folder / f"{FILE}.lock").open("ab")
        except OSError as error:
            raise KdbError(f"{folder / FILE}.lock: {error.strerror}", hint) from None
        self._means: dict[tuple[str, str], float] | None = None

    def find(self, key: str, max_tokens: int) -> Answer | None:
        """The answer to a request; None where there is none, or it was cut off and this limit is larger."""
        value = self._entries.get([key.encode()]).get(key.encode())
        entry = _decoded(value) if value else None
        if entry is None or problem(entry.answer.text, entry.answer.finish_reason):
            return None
        return entry.answer if not entry.answer.truncated or entry.max_tokens >= max_tokens else None

    def add(self, key: str, identity: Identity, answer: Answer, request: Request | None = None) -> None:
        """Keep an answer in the place of any other; the request is not known where a batch brought it."""
        entry = Entry(
            identity=identity,
            purpose=request.purpose if request else "batch",
            messages=request.messages if request else [],
            # What was cut off was as long as its limit.
            max_tokens=request.sampling.max_tokens if request else answer.usage.completion_tokens,
            answer=answer,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._entries.put({key.encode(): msgspec.json.encode(entry)})

    @contextmanager
    def claim(self, key: str) -> Iterator[None]:
        """Hold the right to ask for this answer, alone among all processes; it ends with the process.

        Threads of one process are not kept apart.
        """
        place = int(key[:15], 16)
        while True:
            try:
                fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
                break
            except BlockingIOError:
                time.sleep(POLL)
            except OSError as error:
                raise KdbError(
                    f"{self._claims.name}: {error.strerror}", "name another folder with --cache"
                ) from None
        try:
            yield
        finally:
            fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, place)

    def refused_by(self, identity: Identity) -> frozenset[str]:
        """The parameters that this server is known to refuse."""
        value = self._entries.get([_server_key(identity)]).get(_server_key(identity))
        return frozenset(msgspec.json.decode(value, type=list[str])) if value else frozenset()

    def add_refused(self, identity: Identity) -> None:
        """Keep in mind what this server refuses: the next run asks without it from the start."""
        self._entries.put({_server_key(identity): msgspec.json.encode(sorted(identity.without))})

    def mean_length(self, identity: Identity, purpose: str) -> int | None:
        """The mean tokens of this teacher's answers to such requests; None where there were none."""
        if self._means is None:
            lengths: dict[tuple[str, str], list[int]] = {}
            for entry in self.entries():
                named = (entry.identity.model, entry.purpose)
                lengths.setdefault(named, []).append(entry.answer.usage.completion_tokens)
            self._means = {named: sum(own) / len(own) for named, own in lengths.items()}
        mean = self._means.get((identity.model, purpose))
        return None if mean is None else round(mean)

    def entries(self) -> Iterator[Entry]:
        """All that is kept."""
        return (entry for entry in map(_decoded, self._entries.values()) if entry)

    def close(self) -> None:
        """Close the files."""
        self._entries.close()
        self._claims.close()


def _decoded(value: bytes) -> Entry | None:
    try:
        return _ENTRY.decode(value)
    except msgspec.DecodeError:
        return None  # what a server refuses, or an entry of another version


def _server_key(identity: Identity) -> bytes:
    known: dict[str, Any] = structs.asdict(structs.replace(identity, without=frozenset()))
    return f"server:{content_hash(known)}".encode()
