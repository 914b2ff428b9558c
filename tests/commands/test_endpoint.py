"""A student behind a server: asked what one in this process is, held to the session, and never asked twice."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support.command_line import Result, run_kdb
from support.fake_teacher import FakeTeacher, running
from support.serving import recorded, transformers_serve

from kdb.prompts.answers.list import ListFormat
from kdb.records import Session
from kdb.student import config as configs
from kdb.student.methods.build import prompt_hash

SESSIONS = 4


@pytest.fixture
def lines(samples: Path) -> bytes:
    return b"".join(
        [line for line in (samples / "sessions.jsonl").open("rb") if b'"split":"test"' in line][:SESSIONS]
    )


@pytest.fixture
def sessions(lines: bytes) -> list[Session]:
    return [msgspec.json.decode(line, type=Session) for line in lines.splitlines()]


@pytest.fixture
def kb(samples: Path, tmp_path: Path) -> Path:
    file = tmp_path / "kb.jsonl"
    file.write_bytes(b"".join(line for line in (samples / "sessions.jsonl").open("rb") if b'"train"' in line))
    return file


def ask(server: FakeTeacher, cache: Path, *more: object, stdin: bytes, model: str = "gpt-4o-mini") -> Result:
    with running(server, cache) as url:
        options = ["--backend", "endpoint", "--url", url, "--model", model]
        options += ["--set", "retries=0", "--set", f"cache={cache}"]
        return run_kdb("infer", *options, *more, stdin=stdin)


@pytest.fixture(scope="module")
def served(tiny_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real server of the tiny student."""
    log = tmp_path_factory.mktemp("served") / "log"
    with transformers_serve(str(tiny_student), log) as port:
        yield port


@pytest.mark.parametrize("answer", ["list", "labels"])
def test_a_real_server_is_asked_the_same_and_once(
    served, tiny_student, answer, lines, sessions, kb, tmp_path
) -> None:
    options = ["--backend", "endpoint", "--model", tiny_student, "--no-intents"]
    options += ["--set", f"cache={tmp_path}", "--set", "max_tokens=16"]
    more = ["--answer", answer, "--kb", kb, "--demos", "1", "--set", "concurrency=1"]
    two = b"\n".join(lines.splitlines()[:2])
    with recorded(served) as (url, recorder):
        done = run_kdb("infer", *options, *more, "--url", url, stdin=two)
        assert done.code == 0, done.stderr
        run, *predictions, _ = done.records
        asked = {str(body["messages"]): body for body in recorder.received}
        assert len(asked) == 2
        assert "refuses structured_outputs" in done.stderr
        again = run_kdb("infer", *options, *more, "--url", url, stdin=two)
        assert len(recorder.received) == len(asked) + done.stderr.count("refuses")  # each refusal is one request
    assert again.records[0]["id"] == run["id"]
    assert [p["bundles"] for p in again.records[1:-1]] == [p["bundles"] for p in predictions]
    assert "0 requests sent, 2 answers from the cache" in again.stderr
    assert [p["id"] for p in predictions] == [session.id for session in sessions[:2]]
    # The server has no grammar, so it says what the student in this process says without one.
    free = ["--student", tiny_student, "--set", "unconstrained=true", "--set", "precision=fp32", "--no-intents"]
    here = run_kdb("infer", *free, *more[:6], stdin=two).records[1:-1]
    for prediction, own in zip(predictions, here, strict=True):
        assert prediction["raw"] and own["raw"].startswith(prediction["raw"])
        assert prediction["usage"]["prompt_tokens"] == own["usage"]["prompt_tokens"] > 100
        assert prediction["demos"] == own["demos"] != []


def test_the_closed_world_is_sent_as_a_grammar(lines, sessions, tmp_path) -> None:
    server = FakeTeacher()
    done = ask(server, tmp_path, "--set", "concurrency=1", stdin=lines)
    assert done.code == 0, done.stderr
    grammars = [ListFormat(True).grammar(len(session.items)) for session in sessions]
    assert [body["structured_outputs"]["grammar"] for body in server.received] == grammars
    assert [body["guided_grammar"] for body in server.received] == grammars
    assert all("response_format" not in body for body in server.received)
    run, *predictions, _ = done.records
    settings = run["settings"]
    assert (settings["backend"], settings["student"], settings["model"]) == (
        "endpoint",
        "gpt-4o-mini",
        "gpt-4o-mini",
    )
    assert "127.0.0.1" not in done.stdout
    for prediction, session in zip(predictions, sessions, strict=True):
        assert prediction["status"] == "ok"
        assert prediction["bundles"] == [{"items": [i.id for i in session.items[:2]], "intent": "a guess"}]
        assert prediction["usage"] == {"prompt_tokens": 100, "completion_tokens": 50, "cost": 0.000045}
    assert "4 requests sent" in done.stderr


@pytest.mark.parametrize(
    ("fault", "refused", "left"),
    [
        ("structured_outputs", ["structured_outputs"], "guided_grammar"),
        ("grammar", ["structured_outputs", "guided_grammar"], "response_format"),
        ("all", ["structured_outputs", "guided_grammar", "response_format"], None),
        ("seed", ["seed"], "structured_outputs"),
    ],
)
def test_what_a_server_refuses_is_left_out_and_said_once(fault, refused, left, lines, tmp_path) -> None:
    server = FakeTeacher(fault, -1)
    done = ask(server, tmp_path, stdin=lines)
    assert done.code == 0, done.stderr
    assert [done.stderr.count(f"refuses {name}") for name in refused] == [1] * len(refused)
    assert not set(refused) & server.received[-1].keys()
    assert left is None or left in server.received[-1]
    assert {p["status"] for p in done.records[1:-1]} == {"ok"}
    assert all(len(p["bundles"]) == 1 for p in done.records[1:-1])


def test_answers_of_another_form_are_repaired_and_counted(lines, tmp_path) -> None:
    done = ask(FakeTeacher(), tmp_path, "--answer", "labels", stdin=lines, model="of-labels")
    assert {p["status"] for p in done.records[1:-1]} == {"repaired"}
    assert "4 of 4 answers were in another form than asked for: 0 failed, 4 repaired" in done.stderr
    free = FakeTeacher()
    ask(free, tmp_path / "free", "--set", "unconstrained=true", stdin=lines)
    assert not {"structured_outputs", "guided_grammar", "response_format"} & free.received[0].keys()


def test_votes_ask_in_several_orders(lines, tmp_path) -> None:
    server = FakeTeacher()
    done = ask(server, tmp_path, "--samples", "3", stdin=lines)
    assert len({str(body["messages"]) for body in server.received}) == len(server.received) == 3 * SESSIONS
    assert {p["usage"]["prompt_tokens"] for p in done.records[1:-1]} == {300}
    assert {p["usage"]["cost"] for p in done.records[1:-1]} == {3 * 0.000045}


def test_a_rejected_request_is_an_answer_that_failed(lines, tmp_path) -> None:
    done = ask(FakeTeacher("400", 1), tmp_path, "--set", "concurrency=1", stdin=lines)
    assert (done.code, [p["status"] for p in done.records[1:-1]]) == (0, ["failed", "ok", "ok", "ok"])
    assert "maximum context length" in done.stderr


@pytest.mark.parametrize("fault", ["500", "401"])
def test_what_is_not_answered_is_not_predicted_and_asked_again(fault, lines, tmp_path) -> None:
    out = tmp_path / "out.jsonl"
    stopped = ask(FakeTeacher(fault, 1), tmp_path, "--set", "concurrency=1", "-o", out, stdin=lines)
    assert stopped.code == 1
    assert "have no answer" in stopped.stderr.splitlines()[-1]
    assert not out.exists()
    server = FakeTeacher()
    done = ask(server, tmp_path, "--set", "concurrency=1", "--resume", out, stdin=lines)
    assert done.code == 0, done.stderr
    assert len(server.received) == {"500": 1, "401": SESSIONS}[fault]
    kinds = [msgspec.json.decode(line)["kind"] for line in out.read_bytes().splitlines()]
    assert kinds == ["run", *["prediction"] * SESSIONS, "end"]


def test_the_budget_and_the_key_are_those_of_teachers(lines, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("KDB_TEACHER_KEY", "sk-secret-of-mine")
    server = FakeTeacher()
    more = ["--set", "budget=0.00013", "--set", "max_tokens=50", "--set", "concurrency=1"]
    done = ask(server, tmp_path, *more, stdin=lines)
    assert (done.code, len(server.received)) == (1, 2)
    assert "the budget of $0.00013 is spent" in done.stderr
    assert server.keys == {"Bearer sk-secret-of-mine"}
    assert "secret" not in done.stderr + done.stdout


def test_an_adapter_brings_its_configuration_but_no_weights(lines, tmp_path) -> None:
    config = configs.StudentConfig(method=configs.MethodConfig(answer="list", intents=False))
    config.prompt_hash = prompt_hash(config)
    configs.save(config, tmp_path)
    server = FakeTeacher()
    done = ask(server, tmp_path / "cache", "--adapter", tmp_path, stdin=lines, model="my-lora")
    assert done.code == 0, done.stderr
    assert "like [1, 3]." in server.received[0]["messages"][0]["content"]
    settings = done.records[0]["settings"]
    assert (settings["student"], settings["intents"], bool(settings["adapter"])) == ("my-lora", False, True)


def test_what_cannot_be_is_said_at_once(lines, tmp_path) -> None:
    endpoint = ["--backend", "endpoint", "--set", f"cache={tmp_path}"]
    there = [*endpoint, "--url", "http://127.0.0.1:9/v1", "--model", "m"]
    for options, words in [
        ([*there, "--answer", "pair-prompts"], "--answer list or labels"),
        ([*there, "--answer", "pairs"], "--format encoder"),
        ([*there, "--baseline", "all-pairs"], "--backend, --url, --model have no effect with --baseline"),
        ([*endpoint, "--model", "m"], "pass --url and --model"),
        ([*endpoint, "--url", "localhost", "--model", "m"], "no address of a server"),
        (["--url", "http://127.0.0.1:9/v1"], "pass --backend endpoint"),
        ([*there, "--student", "x"], "--student has no effect with --backend endpoint"),
        ([*there, "--set", "precision=fp32"], "--set precision has no effect with --backend endpoint"),
        (["--set", "budget=1"], "--set budget has no effect with --backend local"),
        (["--baseline", "all-pairs", "--set", "rpm=1"], "--set rpm has no effect with --baseline"),
        (["--baseline", "all-pairs", "--set", "batch_size=2"], "--set batch_size has no effect with --baseline"),
    ]:
        done = run_kdb("infer", *options, stdin=lines)
        assert (done.code, done.out, len(done.stderr.splitlines())) == (2, b"", 1), done.stderr
        assert words in done.stderr
