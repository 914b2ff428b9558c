"""The cache of answers: what counts as the same request, cut answers, several processes, broken files."""

import multiprocessing
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec import structs

from kdb.errors import KdbError
from kdb.io.disk_cache import DiskCache
from kdb.records import Usage
from kdb.teacher import Answer, Identity, Request, Sampling
from kdb.teacher.cache import FILE, AnswerCache

REQUEST = Request("test", [{"role": "user", "content": "hello"}], {"type": "object"}, Sampling(max_tokens=100))
ANSWER = Answer("hi", Usage(3, 2, 0.5), "stop", 1.5, "m-2024")
WHO = Identity("http://a/v1", "m")
KEY = REQUEST.key(WHO)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"purpose": "other", "expected_tokens": 1, "subject": "s", "reference": str}, True),
        ({"sampling": Sampling(max_tokens=200)}, True),
        ({"sampling": Sampling(temperature=0.5)}, False),
        ({"sampling": Sampling(seed=1)}, False),
        ({"schema": {"type": "array"}}, False),
        ({"grammar": 'root ::= "a"'}, False),
        ({"messages": [{"role": "system", "content": "hello"}]}, False),
    ],
)
def test_key_holds_all_that_shapes_the_answer(change: dict, same: bool) -> None:
    assert (structs.replace(REQUEST, **change).key(WHO) == KEY) is same


@pytest.mark.parametrize(
    "other",
    [
        Identity("http://b/v1", "m"),
        Identity("http://a/v1", "n"),
        Identity("http://a/v1", "m", {"top_p": 0.9}),
        Identity("http://a/v1", "m", without=frozenset({"temperature"})),
    ],
)
def test_key_holds_who_answers(other: Identity) -> None:
    assert REQUEST.key(other) != KEY


def test_answer_comes_back_whole(tmp_path: Path) -> None:
    AnswerCache(tmp_path).add(KEY, WHO, ANSWER, REQUEST)
    cache = AnswerCache(tmp_path)
    assert cache.find(KEY, 100) == cache.find(KEY, 5000) == ANSWER
    assert cache.find("0" * 32, 100) is None
    assert cache.mean_length(WHO, "test") == 2
    assert cache.mean_length(WHO, "other") is None
    assert [(entry.identity, entry.messages) for entry in cache.entries()] == [(WHO, REQUEST.messages)]


def test_cut_answer_counts_only_up_to_its_limit_and_gives_way_to_a_whole_one(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cut = structs.replace(ANSWER, text="h", finish_reason="length")
    cache.add(KEY, WHO, cut, REQUEST)
    assert (cache.find(KEY, 50), cache.find(KEY, 100), cache.find(KEY, 101)) == (cut, cut, None)
    cache.add(KEY, WHO, ANSWER, structs.replace(REQUEST, sampling=Sampling(max_tokens=200)))
    assert cache.find(KEY, 100) == cache.find(KEY, 1000) == ANSWER


@pytest.mark.parametrize(
    ("text", "reason"), [("", "stop"), ("half", "content_filter"), ("", "error"), ("<think>well", "stop")]
)
def test_what_was_kept_and_is_no_answer_is_asked_again(text: str, reason: str, tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.add(KEY, WHO, structs.replace(ANSWER, text=text, finish_reason=reason), REQUEST)
    assert cache.find(KEY, 100) is None


def test_what_a_server_refuses_is_remembered_for_that_server(tmp_path: Path) -> None:
    AnswerCache(tmp_path).add_refused(structs.replace(WHO, without=frozenset({"seed", "temperature"})))
    cache = AnswerCache(tmp_path)
    assert cache.refused_by(WHO) == {"seed", "temperature"}
    assert cache.refused_by(Identity("http://b/v1", "m")) == frozenset()
    assert list(cache.entries()) == []


def test_answer_is_on_disk_at_once_and_others_may_read_and_write(tmp_path: Path) -> None:
    first, second = AnswerCache(tmp_path), AnswerCache(tmp_path)
    first.add("a" * 32, WHO, ANSWER, REQUEST)
    second.add("b" * 32, WHO, ANSWER, REQUEST)
    assert first.find("b" * 32, 100) == second.find("a" * 32, 100) == ANSWER
    assert sqlite3.connect(tmp_path / FILE).execute("pragma journal_mode").fetchone() == ("wal",)


def _hold(folder: Path, held: object, seconds: float) -> None:
    with AnswerCache(folder).claim(KEY):
        held.set()  # type: ignore[attr-defined]
        time.sleep(seconds)


def test_one_process_waits_while_another_asks_and_no_longer_than_that_lives(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=_hold, args=(tmp_path, held, 600), daemon=True)
    other.start()
    held.wait(60)
    cache, started = AnswerCache(tmp_path), time.monotonic()
    with cache.claim("1" * 32):  # another request is not held up
        assert time.monotonic() - started < 1
    killed = time.monotonic() + 0.3
    while time.monotonic() < killed:
        time.sleep(0.05)
    other.kill()
    with cache.claim(KEY):
        assert time.monotonic() >= killed


def test_answers_that_name_no_server_are_not_used_and_that_is_said(tmp_path: Path, capfd) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"")
    AnswerCache(tmp_path)
    AnswerCache(tmp_path)
    assert capfd.readouterr().err.count("are not used") == 1


def test_broken_cache_is_one_line_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database" * 100)
    with pytest.raises(KdbError, match=r"cache cannot be used: .*move it away"):
        AnswerCache(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(KdbError, match="cache cannot be used"):
        AnswerCache(tmp_path / "file")


def test_disk_cache_takes_any_number_of_keys_and_keeps_or_replaces(tmp_path: Path) -> None:
    entries = {str(n).encode(): bytes([n % 256]) * n for n in range(700)}
    cache = DiskCache(tmp_path / "sub" / "c.sqlite")
    cache.put(entries)
    cache.put({b"1": b"other"}, replace=False)
    assert cache.get([*entries, b"missing"]) == entries
    cache.put({b"1": b"other"})
    cache.close()
    assert DiskCache(tmp_path / "sub" / "c.sqlite").get([b"1"]) == {b"1": b"other"}


BEGIN = """
import sys
from pathlib import Path
from kdb.io.disk_cache import DiskCache
folder = Path(sys.argv[1])
while not (folder / "go").exists():
    pass
for n in range(60):
    DiskCache(folder / str(n) / "cache")
"""


def test_many_processes_begin_a_cache_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BEGIN, str(tmp_path)]
    begun = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    (tmp_path / "go").touch()
    assert [(process.communicate()[1], process.returncode) for process in begun] == [(b"", 0)] * len(begun)
