"""The cache of answers: what counts as the same request, cut answers, several processes, broken files."""

import sqlite3
from pathlib import Path

import pytest
from msgspec import structs

from kdb.errors import KdbError
from kdb.records import Usage
from kdb.teacher import Answer, Request, Sampling
from kdb.teacher.cache import FILE, AnswerCache

REQUEST = Request("test", [{"role": "user", "content": "hello"}], {"type": "object"}, Sampling(max_tokens=100))
ANSWER = Answer("hi", Usage(3, 2, 0.5), "stop", 1.5)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"purpose": "other", "expected_tokens": 1}, True),
        ({"sampling": Sampling(max_tokens=200)}, True),
        ({"sampling": Sampling(temperature=0.5)}, False),
        ({"sampling": Sampling(seed=1)}, False),
        ({"schema": {"type": "array"}}, False),
        ({"messages": [{"role": "system", "content": "hello"}]}, False),
    ],
)
def test_key_holds_all_that_shapes_the_answer(change: dict, same: bool) -> None:
    assert (structs.replace(REQUEST, **change).key("m") == REQUEST.key("m")) is same
    assert REQUEST.key("m") != REQUEST.key("other")


def test_answer_comes_back_whole(tmp_path: Path) -> None:
    AnswerCache(tmp_path).add("k", "m", ANSWER, REQUEST)
    cache = AnswerCache(tmp_path)
    assert cache.find("k", 100) == cache.find("k", 5000) == ANSWER
    assert cache.find("other", 100) is None
    assert cache.mean_length("m", "test") == 2


def test_cut_answer_counts_only_up_to_its_limit_and_gives_way_to_a_whole_one(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cut = structs.replace(ANSWER, text="h", finish_reason="length")
    cache.add("k", "m", cut, REQUEST)
    assert (cache.find("k", 50), cache.find("k", 100), cache.find("k", 101)) == (cut, cut, None)
    larger = structs.replace(REQUEST, sampling=Sampling(max_tokens=200))
    cache.add("k", "m", ANSWER, larger)
    assert cache.find("k", 100) == cache.find("k", 1000) == ANSWER


def test_answer_is_on_disk_at_once_and_others_may_read_and_write(tmp_path: Path) -> None:
    first, second = AnswerCache(tmp_path), AnswerCache(tmp_path)
    first.add("a", "m", ANSWER, REQUEST)
    second.add("b", "m", ANSWER, REQUEST)
    assert first.find("b", 100) == second.find("a", 100) == ANSWER
    assert sqlite3.connect(tmp_path / FILE).execute("pragma journal_mode").fetchone() == ("wal",)


def test_broken_cache_is_one_line_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database" * 100)
    with pytest.raises(KdbError, match=r"cache cannot be used: .*move it away"):
        AnswerCache(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(KdbError, match="cache cannot be used"):
        AnswerCache(tmp_path / "file")
