"""Batch files in the form that OpenAI takes and gives, which `vllm run-batch` and others share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct, structs

from kdb import console
from kdb.errors import KdbError, UsageError
from kdb.io.files import atomic_file, os_errors
from kdb.teacher import Answer, Backend, Identity, NotAnAnswer, Request, Unanswered
from kdb.teacher.cache import AnswerCache
from kdb.teacher.metered import same_model
from kdb.teacher.openai_wire import decode_reply, encode_request
from kdb.teacher.prices import Prices

PATH = "/v1/chat/completions"


class BatchFile(Backend):
    """Asks nobody: writes each request once, into a file that is there only once all are written."""

    def __init__(self, identity: Identity, path: Path, force: bool = False) -> None:
        super().__init__(identity)
        if path.exists() and not force:
            raise UsageError(f"{path} exists", "name another file or pass --force")
        self.path, self._force = path, force
        self._keys: set[str] = set()
        self._file: BinaryIO | None = None
        self._written = ExitStack()
        self._lock = threading.Lock()

    def ask(self, request: Request) -> Answer:
        """Write the request under its key, by which its answer will be known; Unanswered."""
        key, identity = request.key(self.identity), self.identity
        with self._lock:
            if key not in self._keys:
                self._keys.add(key)
                self._file = self._file or self._written.enter_context(atomic_file(self.path, self._force))
                body = encode_request(request, identity.model, identity.without, identity.extra)
                line = {"custom_id": key, "method": "POST", "url": PATH, "body": body}
                self._file.write(msgspec.json.encode(line) + b"\n")
        raise Unanswered("not asked yet")

    def shortfall(self, what: str) -> KdbError:
        """Puts the file in its place, and names it."""
        self._written.close()
        hint = "have them answered, then run again with --batch-in RESULTS"
        return KdbError(f"{what} yet: {len(self._keys)} requests are in {self.path}", hint)


class _Response(Struct):
    """What came of one request of a batch: an HTTP status and the body of the reply."""

    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"")


class _Result(Struct):
    """One line of a batch's results."""

    custom_id: str
    response: _Response | None = None


def import_results(path: Path, cache: AnswerCache, identity: Identity, prices: Prices) -> None:
    """Put a batch's answers into the cache, and say how many there were and how many requests failed."""
    taken, failed, others = 0, 0, set[str]()
    for number, line in _lines(path):
        try:
            result = msgspec.json.decode(line, type=_Result)
            if result.response is None or result.response.status_code != 200:
                failed += 1
                continue
            answer = decode_reply(bytes(result.response.body))
        except (msgspec.DecodeError, UnicodeDecodeError, NotAnAnswer) as error:
            if isinstance(error, NotAnAnswer) and not error.malformed:
                failed += 1
                continue
            what = error.reason if isinstance(error, NotAnAnswer) else str(error)
            hint = "it takes the results of a batch, as OpenAI and vLLM write them"
            raise KdbError(f"{path}:{number}: {what}", hint) from None
        if not same_model(identity.model, answer.model):
            others.add(answer.model)
        cache.add(result.custom_id, identity, _priced(answer, identity, prices))
        taken += 1
    console.say(f"{path}: {taken} answers taken, {failed} requests failed")
    if others:
        names = ", ".join(sorted(others))
        console.warn(f"{path}: asked for {identity.model}, answered by {names}: records name that model")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with os_errors(path), path.open("rb") as file:
        yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())


def _priced(answer: Answer, identity: Identity, prices: Prices) -> Answer:
    price = prices.find(answer.model, identity.model)
    if price is None:
        return answer
    usage = answer.usage
    return structs.replace(answer, usage=structs.replace(usage, cost=price.cost(usage, batch=True)))
