"""The parts of asking many at once: order, bounded memory, pace, one flight a request, a model in this process."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kdb.errors import KdbError
from kdb.extraction.format import Format
from kdb.io.stream import read
from kdb.records import Session, Usage
from kdb.stages.extract import SessionFilter, extract
from kdb.teacher import (
    Answer,
    Backend,
    Identity,
    NotAnAnswer,
    ParameterRefused,
    Request,
    RequestFailed,
    RequestInvalid,
    Sampling,
    Teacher,
    TeacherUnavailable,
)
from kdb.teacher.cache import AnswerCache
from kdb.teacher.cached import CachedTeacher
from kdb.teacher.metered import Limits, MeteredTeacher, same_model
from kdb.teacher.ordered_map import ordered_map
from kdb.teacher.prices import Prices
from kdb.teacher.rate_limiter import RateLimiter
from kdb.teacher.retrying import RetryingTeacher

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


def request(text: str) -> Request:
    return Request("test", [{"role": "user", "content": text}], SCHEMA, Sampling(max_tokens=12), expected_tokens=12)


class Slow(Backend):
    """A teacher that counts how many requests it has in hand."""

    def __init__(self, model: str = "slow") -> None:
        super().__init__(Identity("http://a/v1", model))
        self.asked: list[str] = []
        self.now = self.most = 0
        self._lock = threading.Lock()

    def ask(self, request: Request) -> Answer:
        with self._lock:
            self.asked.append(request.messages[0]["content"])
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01)
        with self._lock:
            self.now -= 1
        return self.answer(request)

    def answer(self, request: Request) -> Answer:
        return Answer("yes", Usage(request.prompt_tokens, 10))


class Moody(Slow):
    """A teacher whose first answers are errors."""

    def __init__(self, *errors: Exception, model: str = "slow") -> None:
        super().__init__(model)
        self.errors = list(errors)

    def answer(self, request: Request) -> Answer:
        if self.errors:
            raise self.errors.pop(0)
        return super().answer(request)


def layers(teacher: Backend, folder: Path, retries: int = 0, **limits: float) -> CachedTeacher:
    metered = MeteredTeacher(teacher, Prices(), Limits(**limits))  # type: ignore[arg-type]
    return CachedTeacher(RetryingTeacher(metered, retries), AnswerCache(folder))


def odd(work: Callable[[int], object]) -> Callable[[int], Callable[[], object] | None]:
    return lambda n: (lambda: work(n)) if n % 3 else None


def test_results_come_in_order_whatever_finishes_first() -> None:
    def work(n: int) -> int:
        time.sleep(0.02 if n % 10 == 1 else 0)
        return 2 * n

    given = ordered_map(range(100), odd(work), threads=5, window=10)
    assert list(given) == [(n, 2 * n if n % 3 else None) for n in range(100)]


def test_no_more_than_the_window_is_read_ahead() -> None:
    read, done = 0, threading.Event()

    def counted() -> Iterator[int]:
        nonlocal read
        for n in range(1000):
            read += 1
            yield n

    given = ordered_map(counted(), odd(lambda n: done.wait()), threads=4, window=8)
    assert next(given)[0] == 0
    threading.Timer(0.2, done.set).start()
    next(given)
    assert read <= 10
    given.close()


def test_what_was_begun_before_a_bad_line_is_finished() -> None:
    def things() -> Iterator[int]:
        yield from range(1, 6)
        raise KdbError("line 6 is bad")

    seen = []
    with pytest.raises(KdbError, match="line 6"):
        seen.extend(n for n, _ in _kept(ordered_map(things(), odd(lambda n: n), 2, 8), seen))
    assert seen == [1, 2, 3, 4, 5]


def _kept(given: Iterator[tuple[int, object]], seen: list[int]) -> Iterator[tuple[int, object]]:
    for n, result in given:
        seen.append(n)
        yield n, result
        seen.pop()


def test_an_error_that_others_would_meet_ends_the_rest_at_once() -> None:
    def work(n: int) -> None:
        if n == 4:
            raise KdbError("the disk is full")
        time.sleep(0 if n > 4 else 30)

    started = time.monotonic()
    with pytest.raises(KdbError, match="full"):
        list(ordered_map(range(9), odd(work), threads=8, window=20))
    assert time.monotonic() - started < 10


def test_pace_spreads_requests_evenly_by_the_tighter_limit() -> None:
    def seconds(rate_limiter: RateLimiter) -> float:
        started = time.monotonic()
        for _ in range(4):
            rate_limiter.acquire(tokens=100)
        return time.monotonic() - started

    assert seconds(RateLimiter()) < 0.05
    assert 0.15 <= seconds(RateLimiter(requests_per_minute=1200)) < 0.4
    assert 0.3 <= seconds(RateLimiter(requests_per_minute=1200, tokens_per_minute=60_000)) < 0.6


def test_same_request_is_asked_once_even_at_once(tmp_path: Path) -> None:
    teacher = Slow()
    cached = layers(teacher, tmp_path)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(cached.ask, [request(str(n % 10)) for n in range(40)]))
    assert len(answers) == 40
    assert sorted(teacher.asked) == [str(n) for n in range(10)]
    assert cached.summary()[0] == "10 requests sent"


def test_answers_of_two_servers_are_kept_apart(tmp_path: Path) -> None:
    one, other = Slow(), Slow()
    other.identity = Identity("http://b/v1", "slow")
    for teacher in (one, other, one):
        layers(teacher, tmp_path).ask(request("x"))
    assert (one.asked, other.asked) == (["x"], ["x"])


def test_an_answer_that_cannot_be_kept_stops_all_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = Slow()
    cached = layers(teacher, tmp_path)

    def full(*_: object) -> None:
        raise KdbError("the disk is full")

    monkeypatch.setattr(cached.cache, "add", full)
    for text in ("one", "two", "three"):
        with pytest.raises(KdbError, match="full"):
            cached.ask(request(text))
    assert teacher.asked == ["one"]


def test_every_request_that_is_sent_counts_retries_too(tmp_path: Path) -> None:
    teacher = Moody(*(RequestFailed("busy", retry_after=0) for _ in range(5)))
    cached = layers(teacher, tmp_path, retries=9, max_requests=3)
    with pytest.raises(TeacherUnavailable, match="--max-requests 3 is reached"):
        cached.ask(request("x"))
    assert len(teacher.asked) == 3


def test_a_refused_parameter_is_no_try_and_an_invalid_request_is_tried_once(tmp_path: Path) -> None:
    patient = Moody(ParameterRefused("seed"), ParameterRefused("temperature"))
    assert layers(patient, tmp_path).ask(request("x")).text == "yes"
    strict = Moody(RequestInvalid("too long"))
    with pytest.raises(RequestInvalid):
        layers(strict, tmp_path, retries=5).ask(request("y"))
    assert (len(patient.asked), len(strict.asked)) == (3, 1)


def test_budget_holds_at_any_concurrency(tmp_path: Path) -> None:
    teacher = Slow("gpt-4o-mini")
    each = (request("11").prompt_tokens * 0.15 + 10 * 0.60) / 1e6
    cached = layers(teacher, tmp_path, budget=7.5 * each)

    def ask(n: int) -> int:
        try:
            cached.ask(request(str(n)))
        except TeacherUnavailable:
            return 0
        return 1

    with ThreadPoolExecutor(16) as pool:
        answered = sum(pool.map(ask, range(10, 50)))
    assert answered == len(teacher.asked) == 7
    assert cached.usage.cost == pytest.approx(7 * each)
    assert "the budget of" in cached.shortfall("x").message


def test_what_no_answer_cost_is_counted_and_a_lost_reply_is_estimated(tmp_path: Path) -> None:
    lost, refused = (
        RequestFailed("late", billed=True, retry_after=0),
        NotAnAnswer("a refusal", "No.", usage=Usage(7, 3)),
    )
    refused.retry_after = 0
    cached = layers(Moody(lost, refused, model="gpt-4o-mini"), tmp_path, retries=2)
    prompt = request("x").prompt_tokens
    assert cached.ask(request("x")).usage.completion_tokens == 10
    usage = cached.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (2 * prompt + 7, 12 + 3 + 10)
    assert usage.cost == pytest.approx(((2 * prompt + 7) * 0.15 + 25 * 0.60) / 1e6)
    summary = ", ".join(cached.summary())
    assert "3 requests sent" in summary and 'no answer (a refusal 1 x: "No.")' in summary and "estimate" in summary


@pytest.mark.parametrize(
    ("asked", "replied", "same"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("gpt-4o", "", True),
        ("/models/qwen", "/models/qwen@main", True),
        ("Qwen/Qwen3-8B", "qwen3-8b", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "tiny-fallback-1b", False),
    ],
)
def test_a_version_of_a_model_is_that_model_and_a_smaller_one_is_not(asked: str, replied: str, same: bool) -> None:
    assert same_model(asked, replied) is same


class Asking(Format[str]):
    """Asks thrice about each session."""

    name, summary, Config = "asking", "", object

    def draw(self, session: Session, teacher: Teacher) -> str:
        for number in range(3):
            teacher.ask(request(f"{session.id} {number}"))
        return session.id


def test_concurrency_bounds_sessions_and_each_is_asked_about_to_its_end(samples: Path, tmp_path: Path) -> None:
    teacher = Slow()
    lines, choice = read([samples / "sessions.jsonl"], ["session"]), SessionFilter(6, allow_test=True)
    list(extract(lines, Asking(None, Sampling()), choice, layers(teacher, tmp_path), threads=2))
    assert (teacher.most, len(teacher.asked)) == (2, 18)
    ends = [n for n, text in enumerate(teacher.asked) if text.endswith(" 2")]
    assert ends[0] < 6


def test_a_waiting_request_is_reserved_at_what_is_known_when_its_turn_comes(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("[slow]\nprompt = 0\ncompletion = 1\n")
    metered = MeteredTeacher(Slow(), Prices(tmp_path / "prices.toml"), Limits(budget=905 / 1e6))
    # Each is guessed at 900 tokens, so the second waits for the first; it then is known that 10 are used.
    guessed = Request(
        "test", [{"role": "user", "content": "x"}], SCHEMA, Sampling(max_tokens=900), expected_tokens=900
    )
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(metered.ask, [guessed, guessed]))
    assert [answer.usage.cost for answer in answers] == [10 / 1e6, 10 / 1e6]
