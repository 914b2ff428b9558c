"""Is this an answer at all? Lenient in form, strict in meaning, decided before anything is kept or counted."""

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command_line import Result, run_kdb
from support.fake_teacher import USAGE, FakeTeacher, completion, running

from kdb.errors import UsageError
from kdb.prompts.replies import json_object, strip_reasoning
from kdb.records import Usage
from kdb.teacher import NotAnAnswer, Request
from kdb.teacher.openai_server import address, refused_parameter
from kdb.teacher.openai_wire import decode_reply, encode_request

NO_ANSWERS = {
    "null": "an empty text",
    "blank": "an empty text",
    "error": "a failed generation",
    "content_filter": 'a filtered text: "half"',
    "refusal": 'a refusal: "I will not speak of shops."',
    "sorry": """a refusal: "I'm sorry, but I cannot help with that.\"""",
    "reasoning": 'reasoning alone: "Let me think"',
    "open think": "reasoning alone",
    "error 200": 'an error: "upstream quota exhausted"',
}


@pytest.fixture
def train(samples: Path, tmp_path: Path) -> Path:
    lines = [line for line in (samples / "sessions.jsonl").open("rb") if b'"split":"train"' in line]
    file = tmp_path / "train.jsonl"
    file.write_bytes(b"".join(lines[:2]))
    return file


def extract(train: Path, server: FakeTeacher, *more: object) -> Result:
    with running(server, train.parent) as url:
        options = ["--teacher", url, "--model", "gpt-4o-mini", "--cache", train.parent / "cache", "--tries", 1]
        return run_kdb("extract", "thought", train, *options, *more)


def thoughts(result: Result) -> list[dict]:
    return [record for record in result.records if record["kind"] == "knowledge"]


@pytest.mark.parametrize(("fault", "words"), NO_ANSWERS.items())
def test_what_is_no_answer_is_said_and_not_kept_but_asked_again(fault: str, words: str, train: Path) -> None:
    first = extract(train, FakeTeacher(fault, -1), "--retries", "0")
    assert (first.code, thoughts(first)) == (1, [])
    assert first.stderr.count(f"answered with {words}") == 2
    assert f"2 replies were no answer ({words.partition(':')[0]} 2 x" in first.stderr
    again = extract(train, FakeTeacher(fault, 1), "--retries", "1", "--concurrency", "1")
    assert (again.code, len(thoughts(again))) == (0, 2)


def test_what_a_refusal_cost_is_on_record(train: Path) -> None:
    done = extract(train, FakeTeacher("refusal", 2), "--concurrency", "1")
    usages = [record["usage"] for record in done.records if "usage" in record]
    assert sum(usage["prompt_tokens"] for usage in usages) == 4 * 100
    assert sum(usage["cost"] for usage in usages) == pytest.approx(4 * 0.000045)


@pytest.mark.parametrize(
    "form", ["closing think", "chunks", "fences", "null usage", "fractional", "no usage", "events", "only streams"]
)
def test_what_is_an_answer_in_another_form_is_taken_once(form: str, train: Path) -> None:
    server = FakeTeacher(form, -1)
    done = extract(train, server, "--concurrency", "1")
    assert (done.code, len(thoughts(done))) == (0, 2)
    assert len(server.received) == 2 + (form == "only streams")
    estimated = form in ("null usage", "no usage")
    assert ("is an estimate" in done.stderr) is estimated
    for thought in thoughts(done):
        assert thought["usage"]["prompt_tokens"] > 0
        assert estimated or thought["usage"]["completion_tokens"] == 50
    again = FakeTeacher()
    assert extract(train, again).out == done.out
    assert again.received == []


def test_a_deadline_is_for_the_whole_answer(train: Path) -> None:
    server = FakeTeacher(trickle=0.1)
    done = extract(train, server, "--timeout", "0.6", "--retries", "0")
    assert done.code == 1
    assert done.stderr.count("gave no answer within 0.6 s") == 2
    assert "the usage of 2 is an estimate" in done.stderr


class SlowHead(FakeTeacher):
    """Sends lines before the body of its reply, one at a time and for ever."""

    line = b"x-patience: 1\r\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n" if b":" in self.line else b"")
            while True:
                writer.write(self.line)
                await writer.drain()
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("line", [SlowHead.line, b"HTTP/1.1 102 Processing\r\n\r\n"], ids=["headers", "processing"])
def test_a_deadline_is_for_the_head_of_an_answer_too(line: bytes, train: Path) -> None:
    server = SlowHead()
    server.line = line
    done = extract(train, server, "--timeout", "0.6", "--retries", "0")
    assert done.code == 1
    assert done.stderr.count("gave no answer within 0.6 s") == 2


def test_a_timed_out_request_counts_as_sent_and_as_paid(train: Path) -> None:
    server = FakeTeacher("hang", -1)
    done = extract(train, server, "--timeout", "0.5", "--retries", "3", "--max-requests", "1")
    assert (done.code, len(server.received)) == (1, 1)
    [run] = [record for record in done.records if record["kind"] == "run"]
    assert run["usage"]["cost"] > 0


def test_a_budget_holds_against_a_server_that_counts_nothing(samples: Path, train: Path) -> None:
    train.write_bytes(b"".join(line for line in (samples / "sessions.jsonl").open("rb") if b'"train"' in line))
    prices = train.with_name("prices.toml")
    prices.write_text('["gpt-4o-mini"]\nprompt = 0\ncompletion = 1000\n')
    done = extract(train, FakeTeacher("no usage", -1), "--budget", "0.8", "--set", f"prices={prices}")
    assert done.code == 1
    costs = [thought["usage"]["cost"] for thought in thoughts(done)]
    # An answer may be longer than any before it, which no reservation knows.
    assert 0.5 < sum(costs) <= 0.8 + max(costs) - min(costs)
    assert "the budget of $0.8 is spent" in done.stderr and "is an estimate" in done.stderr


def test_another_model_than_asked_for_signs_what_it_wrote(train: Path) -> None:
    done = extract(train, FakeTeacher("other model", -1))
    assert {thought["teacher"] for thought in thoughts(done)} == {"tiny-fallback-1b"}
    assert done.stderr.count("asked for gpt-4o-mini, the server answers as tiny-fallback-1b") == 1
    dated = extract(train, FakeTeacher("dated model", -1), "--cache", train.parent / "other")
    assert {thought["teacher"] for thought in thoughts(dated)} == {"gpt-4o-mini-2024-07-18"}
    assert "asked for" not in dated.stderr


def test_more_fields_of_a_body_are_sent_and_are_part_of_the_question(train: Path) -> None:
    plain, fuller = FakeTeacher(), FakeTeacher()
    extract(train, plain)
    extract(train, fuller, "--extra-body", '{"top_p": 0.9}')
    assert [body["top_p"] for body in fuller.received] == [0.9, 0.9]
    for wrong, words in [('{"model": "x"}', "said by kdb itself"), ("[1]", "JSON object"), ("{", "JSON object")]:
        refused = extract(train, FakeTeacher(), "--extra-body", wrong)
        assert refused.code == 2 and words in refused.stderr


def test_what_a_server_refuses_is_left_out_for_good(train: Path) -> None:
    first, second = FakeTeacher("temperature", -1), FakeTeacher("temperature", -1)
    assert extract(train, first).code == 0
    assert "temperature" not in first.received[-1]
    assert extract(train, second, "--max-tokens", "7", "--set", "seed=1").code == 0
    assert ["temperature" in body for body in second.received] == [False, False]


def test_a_server_that_answers_500_to_an_unknown_form_gets_the_schema_in_its_own(train: Path) -> None:
    server = FakeTeacher("llama-cpp-python", -1)
    done = extract(train, server)
    assert (done.code, "refuses response_format json_schema" in done.stderr) == (0, True)
    first, last = (server.received[n]["response_format"] for n in (0, -1))
    assert last == {"type": "json_object", "schema": first["json_schema"]["schema"]}


def test_a_message_that_mentions_parameters_refuses_none(train: Path) -> None:
    server = FakeTeacher("too long", -1)
    assert extract(train, server).code == 1
    assert all({"seed", "temperature", "response_format"} <= body.keys() for body in server.received)
    assert len(server.received) == 2


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"message": "no", "param": "response_format.json_schema"}, "response_format"),
        ({"message": "Unrecognized request argument: seed"}, "seed"),
        ({"message": "the seeds were exceeded"}, ""),
        ({"message": "temperature is fine", "param": "messages"}, ""),
        ({"message": "max_tokens is too large", "param": "max_tokens", "code": "invalid_value"}, ""),
        ({"message": "use 'max_completion_tokens' instead", "param": "max_tokens"}, "max_tokens"),
        ({"message": "set stream=true"}, "stream"),
        ({"detail": "extra fields: guided_grammar"}, "guided_grammar"),
        (None, ""),
    ],
)
def test_refused_parameter_is_told_by_its_name(body: object, name: str) -> None:
    assert refused_parameter(body, "") == name


@pytest.mark.parametrize(
    ("given_as", "meant"),
    [
        ("http://h:8000", "http://h:8000/v1"),
        (" HTTP://h:8000/v1/ \n", "http://h:8000/v1"),
        ("https://h/v1/chat/completions", "https://h/v1"),
        ("https://h/openai/deployments/d?api-version=1", "https://h/openai/deployments/d?api-version=1"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
        ("https://user:word@h/v1", "https://user:word@h/v1"),
    ],
)
def test_addresses_are_taken_as_meant(given_as: str, meant: str) -> None:
    assert address(given_as) == meant


@pytest.mark.parametrize(
    "wrong", ["http://h:port/v1", "http://", "https://h:99999/v1", "http://a b/v1", "localhost"]
)
def test_what_is_no_address_is_one_line(wrong: str) -> None:
    with pytest.raises(UsageError, match="no address of a server"):
        address(wrong)


@pytest.mark.parametrize("key", ["“sk-made-up”", "sk made up", "sk-\u00e9"])
def test_a_key_that_no_header_can_carry_is_one_line(key: str, train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDB_TEACHER_KEY", key)
    done = extract(train, FakeTeacher())
    assert (done.code, done.out) == (2, b"")
    assert "KDB_TEACHER_KEY" in done.stderr and key not in done.stderr


def test_a_proxy_is_in_the_way_of_no_local_server(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    blocked = extract(train, FakeTeacher())
    assert blocked.code == 2 and "ALL_PROXY" in blocked.stderr and len(blocked.stderr.splitlines()) == 1
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert extract(train, FakeTeacher()).code == 0


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 60}}, Usage(100, 50, cached_tokens=60)),
        ({**USAGE, "completion_tokens_details": {"reasoning_tokens": 40}}, Usage(100, 50, reasoning_tokens=40)),
        # xAI counts what was thought aloud beside the answer.
        (
            {**USAGE, "total_tokens": 190, "completion_tokens_details": {"reasoning_tokens": 40}},
            Usage(100, 90, reasoning_tokens=40),
        ),
        ({"prompt_tokens": 100, "completion_tokens": None}, Usage(100, 0)),
        ({"prompt_tokens": -1, "completion_tokens": True}, Usage(0, 2)),
        ({"prompt_tokens": "100", "completion_tokens": "50.0"}, Usage(100, 50)),
        ({"prompt_tokens": 1e300, "completion_tokens": 10**400}, Usage(0, 2)),
        ({**USAGE, "prompt_tokens_details": [60], "completion_tokens_details": 7}, Usage(100, 50)),
        ([100, 50], Usage(0, 2)),
        ("none", Usage(0, 2)),
    ],
)
def test_counts_of_tokens(usage: object, expected: Usage) -> None:
    answer = decode_reply(completion("seven..", usage=usage))
    assert answer.usage == expected


@pytest.mark.parametrize(
    ("beside", "finish_reason", "model"),
    [({}, "stop", 5), ({}, 1, "m"), ({"refusal": False}, None, None), ({"tool_calls": 3}, "stop", ["m"])],
)
def test_what_stands_beside_an_answer_does_not_cost_it(beside: dict, finish_reason: object, model: object) -> None:
    body = json.loads(completion("seven", **beside))
    body["model"], body["choices"][0]["finish_reason"] = model, finish_reason
    answer = decode_reply(json.dumps(body).encode())
    assert (answer.text, answer.finish_reason) == ("seven", "stop")
    assert answer.model in ("m", "")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": {"value": "se"}}, "ven"], "seven"),
        ({"type": "text", "text": "seven"}, "seven"),
        (
            [{"type": "thinking", "thinking": "hm"}, {"type": "reasoning", "text": "6?"}, {"text": "seven"}],
            "seven",
        ),
    ],
)
def test_chunks_of_a_content(content: object, text: str) -> None:
    assert decode_reply(completion(content)).text == text


@pytest.mark.parametrize("body", [b'{"detail": "quota is used up"}', b'{"code": 5, "message": "quota is used up"}'])
def test_an_error_without_choices_is_quoted(body: bytes) -> None:
    with pytest.raises(NotAnAnswer, match='an error: "quota is used up"'):
        decode_reply(body)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<thinking>[1]</thinking>[2]", "[2]"),
        ("[THINK][1][/THINK][2]", "[2]"),
        ("<|channel|>analysis<|message|>[1]<|end|><|channel|>final<|message|>[2]", "[2]"),
        ("◁think▷[1], cut", ""),
        ("<think>[1]</think>[2]", "[2]"),
        ("[1] no\n</think>\n[2]", "\n[2]"),
        ("<think>[1], cut", ""),
        ("<think>a</think>b</think>c<think>d", "c"),
        ("[2]", "[2]"),
    ],
)
def test_what_was_thought_aloud_is_no_answer(text: str, answer: str) -> None:
    assert strip_reasoning(text) == answer


def test_threads_that_meet_a_shape_at_once_read_it() -> None:
    """As a process of its own: msgspec would crash it."""
    script = """
import sys, threading, types
from kdb.prompts.replies import to_struct

sys.setswitchinterval(1e-6)
for number in range(100):
    module = sys.modules[f"shapes{number}"] = types.ModuleType(f"shapes{number}")
    exec("from msgspec import Struct\\nclass A(Struct): n: int\\nclass B(Struct): all: 'list[A]'", vars(module))
    ready = threading.Barrier(4)
    def read():
        ready.wait()
        assert to_struct({"all": [{"n": "1"}]}, module.B).all[0].n == 1
    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=120).returncode == 0


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_no_text_breaks_the_reading(text: str) -> None:
    for body in (text.encode(errors="replace"), b"data: " + text.encode(errors="replace"), completion(text)):
        try:
            decode_reply(body)
        except NotAnAnswer as error:
            assert "\n" not in error.message
    with contextlib.suppress(ValueError):
        assert isinstance(json_object(text), dict)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["choices", "message", "content", "usage", "error", "model", "prompt_tokens"]), x
            )
        ),
    )
)
def test_no_json_breaks_the_reading(value: object) -> None:
    try:
        answer = decode_reply(json.dumps(value).encode())
    except NotAnAnswer:
        return
    assert answer.usage.prompt_tokens >= 0


def test_a_stream_is_asked_for_only_where_it_must_be() -> None:
    request = Request("p", [], None)
    assert "stream" not in encode_request(request, "m")
    body = encode_request(request, "m", {"stream", "stream_options"})
    assert (body["stream"], "stream_options" in body) == (True, False)
