"""The cache of answers, so that nothing is paid for twice: one SQLite file under the cache folder.

An answer is committed before anything reads it, so a process that is killed loses only what was in flight.
Several processes may use one cache at once.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from kdb.errors import KdbError
from kdb.records import Usage
from kdb.teacher import Answer, Request

FILE = "ledger.sqlite"

_TABLE = """
create table if not exists answers (
    key text not null,              -- hash of all that shapes the answer
    max_tokens integer not null,    -- the limit under which it was given
    model text not null,
    purpose text not null,
    request text,                   -- the request as JSON; null where a batch brought the answer
    answer text not null,
    finish_reason text not null,    -- "length" marks an answer that was cut off
    prompt_tokens integer not null,
    completion_tokens integer not null,
    cost real,                      -- US dollars; null where no price is known
    seconds real not null,
    at text not null,
    primary key (key, max_tokens)
) without rowid
"""


class AnswerCache:
    """All answers ever given, by the key of their request."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # One thread at a time uses it, but not always the one that opened it.
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            # A killed process loses nothing under NORMAL; a power failure may lose the last answers.
            self._db.execute("pragma synchronous = normal")
            self._db.execute(_TABLE)
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from None

    def find(self, key: str, max_tokens: int) -> Answer | None:
        """The answer to a request, unless it was cut off and this limit is larger."""
        rows = self._run(
            "select answer, prompt_tokens, completion_tokens, cost, finish_reason, seconds, max_tokens "
            "from answers where key = ? order by finish_reason = 'length', max_tokens desc limit 1",
            (key,),
        )
        for text, prompt, completion, cost, reason, seconds, limit in rows:
            if reason != "length" or limit >= max_tokens:
                return Answer(text, Usage(prompt, completion, cost), reason, seconds)
        return None

    def add(self, key: str, model: str, answer: Answer, request: Request | None = None) -> None:
        """Keep an answer; the request is not known where a batch brought it."""
        usage = answer.usage
        # What was cut off was as long as its limit.
        limit = request.sampling.max_tokens if request else usage.completion_tokens
        values = (
            *(key, limit, model, request.purpose if request else "batch"),
            msgspec.json.encode(request).decode() if request else None,
            *(answer.text, answer.finish_reason, usage.prompt_tokens, usage.completion_tokens, usage.cost),
            *(answer.seconds, datetime.now(UTC).isoformat(timespec="seconds")),
        )
        self._run(f"insert or ignore into answers values ({', '.join('?' * len(values))})", values)

    def mean_length(self, model: str, purpose: str) -> int | None:
        """The mean tokens of this model's answers to such requests; None where there were none."""
        query = "select avg(completion_tokens) from answers where model = ? and purpose = ?"
        mean = self._run(query, (model, purpose))[0][0]
        return None if mean is None else round(mean)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _run(self, query: str, values: tuple[object, ...]) -> list[tuple]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> KdbError:
        hint = "move it away, or name another folder with --cache"
        return KdbError(f"{self.path}: the cache cannot be used: {error}", hint)
