"""The parts of asking many at once: order, bounded memory, pace, one flight a request, a model in this process."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import run_kdb

from kdb.records import Session, Usage
from kdb.stream import Line, read
from kdb.teacher import Answer, Request, Sampling, TeacherUnavailable
from kdb.teacher.cache import AnswerCache
from kdb.teacher.local import Local
from kdb.teacher.metered import MeteredClient
from kdb.teacher.ordered_map import ordered_map
from kdb.teacher.rate_limiter import RateLimiter
from kdb.teacher.session_map import SessionFilter, SessionMap

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


def lines(count: int) -> Iterator[Line]:
    return (Line(str(n), "session" if n % 3 else "note", None) for n in range(count))


def request(text: str, **sampling: float) -> Request:
    return Request("test", [{"role": "user", "content": text}], SCHEMA, Sampling(max_tokens=12))


class Slow:
    """A teacher that counts how many requests it has in hand."""

    model = "slow"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now = self.most = 0

    async def ask(self, request: Request) -> Answer:
        self.asked.append(request.messages[0]["content"])
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        return Answer("yes", Usage(1, 1))


def test_results_come_in_order_whatever_finishes_first() -> None:
    async def work(line: Line) -> str:
        await asyncio.sleep(0.02 if line.text.endswith("1") else 0)
        return line.text * 2

    given = ordered_map(lines(100), lambda line: work(line) if line.kind == "session" else None, window=10)
    assert [(line.text, result) for line, result in given] == [
        (str(n), str(n) * 2 if n % 3 else None) for n in range(100)
    ]


def test_no_more_than_the_window_is_read_ahead() -> None:
    read, done = 0, threading.Event()

    def counted() -> Iterator[Line]:
        nonlocal read
        for line in lines(1000):
            read += 1
            yield line

    async def work(line: Line) -> None:
        await asyncio.to_thread(done.wait)

    given = ordered_map(counted(), lambda line: work(line) if line.kind == "session" else None, window=8)
    assert next(given)[0].text == "0"
    threading.Timer(0.2, done.set).start()
    next(given)
    assert read <= 10
    given.close()


def test_error_in_the_work_reaches_the_reader_and_ends_the_rest() -> None:
    async def work(line: Line) -> None:
        if line.text == "4":
            raise TeacherUnavailable("no more")
        await asyncio.sleep(0 if line.text < "4" else 3600)

    given = ordered_map(lines(9), lambda line: work(line) if line.kind == "session" else None, window=20)
    started = time.monotonic()
    with pytest.raises(TeacherUnavailable):
        list(given)
    assert time.monotonic() - started < 5


def test_pace_spreads_requests_evenly_by_the_tighter_limit() -> None:
    async def times(rate_limiter: RateLimiter) -> float:
        started = asyncio.get_running_loop().time()
        for _ in range(4):
            await rate_limiter.acquire(tokens=100)
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(times(RateLimiter())) < 0.05
    assert 0.15 <= asyncio.run(times(RateLimiter(requests_per_minute=1200))) < 0.4
    assert 0.3 <= asyncio.run(times(RateLimiter(requests_per_minute=1200, tokens_per_minute=60_000))) < 0.6


def test_same_request_is_asked_once_even_at_once(tmp_path: Path) -> None:
    teacher = Slow()
    client = MeteredClient(teacher, AnswerCache(tmp_path))

    async def ask() -> list[Answer]:
        return await asyncio.gather(*(client.ask(request(str(n % 10))) for n in range(40)))

    answers = asyncio.run(ask())
    assert len(answers) == 40
    assert sorted(teacher.asked) == [str(n) for n in range(10)]
    assert client.counts["sent"] == 10


def test_concurrency_bounds_sessions_and_each_is_asked_about_to_its_end(samples: Path, tmp_path: Path) -> None:
    teacher = Slow()
    client = MeteredClient(teacher, AnswerCache(tmp_path))

    async def flow(session: Session) -> str:
        for number in range(3):
            await client.ask(request(f"{session.id} {number}"))
        return session.id

    survey = SessionMap(SessionFilter(most=6, allow_test=True, concurrency=2))
    results = [result for _, result in survey.map(read([samples / "sessions.jsonl"], ["session"]), flow) if result]
    assert len(results) == survey.sessions == 6
    assert teacher.most == 2
    ends = [teacher.asked.index(f"{session} 2") for session in results]
    assert ends == sorted(ends)
    assert ends[0] < 6


def test_local_model_keeps_to_the_schema_and_to_itself_in_a_batch(tiny_student: Path) -> None:
    async def ask(batch: int) -> list[Answer]:
        teacher = Local(str(tiny_student), "tiny", batch)
        return await asyncio.gather(*(teacher.ask(request("hello " * n)) for n in range(1, 6)))

    together, alone = asyncio.run(ask(4)), asyncio.run(ask(1))
    assert [a.text for a in together] == [a.text for a in alone]
    for answer in together:
        assert answer.text.startswith('{"n":')
        assert answer.truncated == (not answer.text.endswith("}"))
        assert 0 < answer.usage.completion_tokens <= 12
        assert answer.usage.prompt_tokens > 0


def test_local_teacher_in_a_pipe(tiny_student: Path, samples: Path, tmp_path: Path) -> None:
    stdin = b"".join(line for line in (samples / "sessions.jsonl").open("rb") if b'"split":"train"' in line)
    options = ["--teacher", tiny_student, "--cache", tmp_path, "--max-tokens", 32, "--sessions", 3]
    first = run_kdb("extract", "rule", *options, stdin=stdin)
    again = run_kdb("extract", "rule", *options, stdin=stdin)
    assert (first.code, first.out) == (0, again.out)
    assert "9 requests sent" in first.stderr
    assert "0 requests sent, 9 answers from the cache" in again.stderr


def test_model_that_cannot_be_loaded_is_one_line(samples: Path, tmp_path: Path) -> None:
    options = ["--teacher", tmp_path / "nowhere", "--cache", tmp_path, "--allow-test"]
    result = run_kdb("extract", "thought", samples / "sessions.jsonl", *options)
    assert result.code == 1
    assert "nowhere" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
