"""Batch files in the form that OpenAI takes and gives, which `vllm run-batch` and others share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct, structs

from kdb.errors import KdbError, UsageError
from kdb.teacher import Answer, Request
from kdb.teacher.cache import AnswerCache
from kdb.teacher.openai_wire import encode_request
from kdb.teacher.prices import Price
from kdb.teacher.reply import decode_reply

PATH = "/v1/chat/completions"


class Response(Struct):
    """What came of one request of a batch: an HTTP status and the body of the reply."""

    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"")


class Result(Struct):
    """One line of a batch's results."""

    custom_id: str
    response: Response | None = None


class RequestFile:
    """Collects requests for a batch, each once, in a file that is there only once all are written."""

    def __init__(self, path: Path, model: str, force: bool = False) -> None:
        if path.exists() and not force:
            raise UsageError(f"{path} exists", "name another file or pass --force")
        path.unlink(missing_ok=True)
        self.path = path
        self._part = path.with_name(path.name + ".part")
        self._model = model
        self._keys: set[str] = set()
        self._file: BinaryIO | None = None

    def add(self, key: str, request: Request) -> None:
        """Write one request under its key, by which its answer will be known."""
        if key in self._keys:
            return
        self._keys.add(key)
        self._file = self._file or self._part.open("wb")
        body = encode_request(request, self._model)
        line = {"custom_id": key, "method": "POST", "url": PATH, "body": body}
        self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> int:
        """Put the file in its place, if any request is missing; returns how many are."""
        if self._file:
            self._file.close()
            self._part.replace(self.path)
        return len(self._keys)


def import_results(path: Path, cache: AnswerCache, model: str, price: Price | None) -> tuple[int, int]:
    """Put the answers of a batch into the cache; returns how many there were, and how many requests failed."""
    taken = failed = 0
    for number, line in _lines(path):
        try:
            result = msgspec.json.decode(line, type=Result)
            response = result.response
            if response is None or response.status_code != 200:
                failed += 1
                continue
            answer = decode_reply(bytes(response.body))
        except (ValueError, msgspec.DecodeError) as error:
            hint = "it takes the results of a batch, as OpenAI and vLLM write them"
            raise KdbError(f"{path}:{number}: {error}", hint) from None
        cache.add(result.custom_id, model, _priced(answer, price))
        taken += 1
    return taken, failed


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
    except OSError as error:
        raise KdbError(f"{path}: {error.strerror}") from None


def _priced(answer: Answer, price: Price | None) -> Answer:
    if price is None:
        return answer
    usage = answer.usage
    return structs.replace(answer, usage=structs.replace(usage, cost=price.cost(usage, batch=True)))
