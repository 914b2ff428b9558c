"""Each way in which a server can fail: what the user sees, and that no record is lost or doubled."""

import os
from pathlib import Path

import pytest
from support.command_line import Result, run_kdb
from support.fake_teacher import FakeTeacher, running

SESSIONS = 4


@pytest.fixture
def lines(samples: Path) -> bytes:
    """Four annotated training sessions with a line of another kind among them."""
    train = [line for line in (samples / "sessions.jsonl").open("rb") if b'"split":"train"' in line]
    return b"".join([*train[:2], b'{"kind":"note","text":"passes through"}\n', *train[2:SESSIONS]])


def extract(server: FakeTeacher, lines: bytes, cache: Path, *more: str, command: str = "thought") -> Result:
    with running(server, cache.parent) as url:
        options = ["--teacher", url, "--model", "gpt-4o-mini", "--retries", "1", "--cache", cache, *more]
        return run_kdb("extract", command, *options, stdin=lines)


def kinds(result: Result) -> list[str]:
    return [record["kind"] for record in result.records]


def passed_through(result: Result) -> bytes:
    own = (b'{"kind":"knowledge"', b'{"kind":"run"')
    return b"".join(line + b"\n" for line in result.out.splitlines() if not line.startswith(own))


@pytest.mark.parametrize(
    ("fault", "times"),
    [("429", 2), ("500", 3), ("close", 2), ("hang", 1), ("broken", 2), ("empty", 1), ("html", 3)],
)
def test_passing_fault_is_retried_and_nothing_is_lost_or_doubled(
    fault: str, times: int, lines: bytes, tmp_path: Path
) -> None:
    server = FakeTeacher(fault, times)
    result = extract(server, lines, tmp_path, "--timeout", "1.5")
    assert (result.code, passed_through(result)) == (0, lines)
    lost = fault in ("close", "hang")  # the server may have worked on it: what that cost is on record
    assert kinds(result) == [*["session", "knowledge"] * 2, "note", *["session", "knowledge"] * 2, *["run"] * lost]
    assert len(server.received) == SESSIONS + times
    assert "4 verified thoughts" in result.stderr


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("500", "answered 500: it broke"),
        ("400", "answered 400: this model's maximum context length is 10 tokens"),
        ("429", "answered 429: slow down (lower --concurrency, or give --set rpm=N or --set tpm=N)"),
        ("close", "broke off"),
        ("hang", "gave no answer within 0.5 s"),
        ("broken", "answered with broken JSON instead of an answer"),
        ("empty", "answered with an empty list of choices instead of an answer"),
        ("html", "answered with a web page instead of an answer (is the address right?"),
    ],
)
def test_lasting_fault_is_said_once_a_session_and_sessions_still_pass(
    fault: str, message: str, lines: bytes, tmp_path: Path
) -> None:
    result = extract(FakeTeacher(fault, -1), lines, tmp_path, "--timeout", "0.5")
    assert (result.code, passed_through(result)) == (1, lines)
    assert result.stderr.count("has no answer") == result.stderr.count(message) == SESSIONS
    last = result.stderr.splitlines()[-1]
    assert last == "kdb: 4 of 4 sessions have no answer (run again: what was answered is not asked again)"
    assert "Traceback" not in result.stderr


def test_next_run_asks_only_what_has_no_answer(lines: bytes, tmp_path: Path) -> None:
    first = extract(FakeTeacher("400", 2), lines, tmp_path, "--concurrency", "1")
    assert (first.code, kinds(first).count("knowledge")) == (1, 2)
    healthy = FakeTeacher()
    second = extract(healthy, lines, tmp_path)
    assert (second.code, kinds(second).count("knowledge"), len(healthy.received)) == (0, 4, 2)
    assert second.out == extract(FakeTeacher(), lines, tmp_path / "fresh").out


def test_what_cannot_be_read_is_never_said_to_be_kept(lines: bytes, tmp_path: Path) -> None:
    result = extract(FakeTeacher("cut", 1), lines, tmp_path, "--tries", "1", "--unverified", "keep")
    assert kinds(result).count("knowledge") == 3
    assert "3 verified thoughts, 1 unverified and dropped (failed 1 by form)" in result.stderr


@pytest.mark.parametrize(("fault", "hint"), [("401", "KDB_TEACHER_KEY"), ("404", "model's name")])
def test_hopeless_fault_stops_the_run_and_gives_the_remedy(
    fault: str, hint: str, lines: bytes, tmp_path: Path
) -> None:
    server = FakeTeacher(fault, -1)
    result = extract(server, lines, tmp_path, "--concurrency", "1")
    assert (result.code, result.out, len(server.received)) == (1, lines, 1)
    assert f"answered {fault}" in result.stderr.splitlines()[-1]
    assert hint in result.stderr.splitlines()[-1]


def test_key_is_sent_and_never_shown(lines: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDB_TEACHER_KEY", "sk-secret-of-mine")
    server = FakeTeacher("401", -1)
    result = extract(server, lines, tmp_path)
    assert server.keys == {"Bearer sk-secret-of-mine"}
    assert "secret" not in result.stderr
    assert "Incorrect API key provided: ***" in result.stderr


def test_openai_key_goes_to_openai_alone(lines: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-mine")
    monkeypatch.delenv("KDB_TEACHER_KEY", raising=False)
    server = FakeTeacher()
    extract(server, lines, tmp_path)
    assert server.keys == {"Bearer none"}


def test_no_server(lines: bytes, tmp_path: Path) -> None:
    options = ["--teacher", "http://127.0.0.1:9/v1", "--model", "m", "--retries", "0", "--cache", tmp_path]
    result = run_kdb("extract", "rule", *options, stdin=lines)
    assert (result.code, result.out) == (1, lines)
    assert "http://127.0.0.1:9/v1 cannot be reached" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["response_format", "seed", "max_tokens"])
def test_refused_parameter_is_left_out_and_said_once(name: str, lines: bytes, tmp_path: Path) -> None:
    server = FakeTeacher(name, -1)
    result = extract(server, lines, tmp_path)
    assert (result.code, kinds(result).count("knowledge")) == (0, SESSIONS)
    assert name not in server.received[-1]
    steps = 3 if name == "response_format" else 1  # the schema, the schema beside the type, then JSON
    assert result.stderr.count(f"refuses {name}") == steps
    if name == "max_tokens":
        assert server.received[-1]["max_completion_tokens"] == 1024


def test_cut_answer_is_marked_and_only_such_are_asked_again_with_a_larger_limit(
    lines: bytes, tmp_path: Path
) -> None:
    first = FakeTeacher("cut", 1)
    result = extract(first, lines, tmp_path, "--tries", "1", "--concurrency", "1")
    assert kinds(result).count("knowledge") == SESSIONS - 1
    assert "answers cut off at their limit: 1; a larger --max-tokens asks only those again" in result.stderr
    [run] = [record for record in result.records if record["kind"] == "run"]
    assert run["usage"] == {"prompt_tokens": 100, "completion_tokens": 50, "cost": 0.000045}
    assert extract(again := FakeTeacher(), lines, tmp_path, "--tries", "1").out == result.out
    assert again.received == []
    larger = FakeTeacher()
    result = extract(larger, lines, tmp_path, "--tries", "1", "--max-tokens", "2048")
    assert kinds(result).count("knowledge") == SESSIONS
    assert [body["max_tokens"] for body in larger.received] == [2048]


def test_bad_input_line_is_named_and_what_was_begun_is_finished(lines: bytes, tmp_path: Path) -> None:
    result = extract(FakeTeacher(), lines + b'{"kind":"session"}\n', tmp_path)
    assert result.code == 1
    assert "stdin:6: missing field" in result.stderr
    assert passed_through(result) == lines
    assert kinds(result).count("knowledge") == SESSIONS


def test_reader_that_closes_the_pipe_ends_the_run_quietly(samples: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    with running(FakeTeacher()) as url:
        command = [
            sys.executable,
            "-m",
            "kdb",
            "extract",
            "thought",
            str(samples / "sessions.jsonl"),
            "--teacher",
            url,
        ]
        more = ["--model", "m", "--allow-test", "--cache", str(tmp_path)]
        process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout and process.stderr
        os.close(process.stdout.fileno())
        assert (process.wait(60), process.stderr.read()) == (141, b"")


def test_ctrl_c_ends_a_run_whose_server_hangs(samples: Path, tmp_path: Path) -> None:
    import signal
    import subprocess
    import sys
    import time

    server = FakeTeacher("hang", -1)
    with running(server) as url:
        options = ["extract", "thought", str(samples / "sessions.jsonl"), "--allow-test", "--teacher", url]
        command = [sys.executable, "-m", "kdb", *options, "--model", "m", "--cache", str(tmp_path)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Whoever is started in the background by a shell, and all children, are not interrupted.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while len(server.received) < 8:  # as many as are asked at once
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert (process.wait(30), process.stderr.read()) == (130, b"kdb: interrupted\n")  # type: ignore[union-attr]
