"""Whatever goes wrong is one line and the right exit code, on any kind of standard stream."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from support.command_line import ROOT, SAMPLES
from typer.testing import CliRunner

from kdb import console
from kdb.cli.groups import Commands
from kdb.cli.options import command
from kdb.cli.streams import MessageOptions
from kdb.errors import KdbError, UsageError

SESSIONS = SAMPLES / "sessions.jsonl"


def fails_with(error: BaseException) -> Callable[..., tuple[int, str]]:
    app = typer.Typer(cls=Commands)

    @app.command()
    @command
    def one(messages: MessageOptions) -> None:
        raise error

    @app.command()
    def two() -> None: ...

    def call(*argv: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["one", *argv])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    return call


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KdbError("a.jsonl:3: no JSON", "mend it"), 1, "a.jsonl:3: no JSON (mend it)"),
        (UsageError("--a and --b"), 2, "--a and --b"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "/shop/x"), 1, "/shop/x: Permission denied"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (ValueError("two\nlines"), 1, "unexpected ValueError: two (--debug shows more)"),
        (AssertionError(), 1, "unexpected AssertionError (--debug shows more)"),
        (RecursionError("too deep"), 1, "unexpected RecursionError: too deep (--debug shows more)"),
    ],
)
def test_an_error_is_one_line(error: BaseException, code: int, line: str) -> None:
    assert fails_with(error)() == (code, f"kdb: {line}\n")


def test_a_closed_pipe_says_nothing() -> None:
    assert fails_with(BrokenPipeError())() == (141, "")


def test_debug_shows_where_it_came_from() -> None:
    with pytest.raises(ValueError, match="here"):
        fails_with(ValueError("here"))("--debug")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – Ünïcödé 机", "plain – Ünïcödé 机"),
        ("\x1b]0;title\x07\x1b[31mred\x9b2J", "?]0;title??[31mred?2J"),
        ("a\u202ebc\u2066d\ufeff", "a?bc?d?"),
        ("no\u00a0break\ttab", "no break tab"),
        ("क्\u200dष 👩\u200d💻", "क्\u200dष 👩\u200d💻"),
        ("half \ud800", "half ?"),
    ],
)
def test_what_is_shown_cannot_steer_a_terminal(text: str, shown: str) -> None:
    assert console.printable(text) == shown


def test_a_message_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure()
    console.say("one\ntwo \x1b[2J")
    console.configure(quiet=True)
    console.say("not said")
    console.warn("said")
    console.configure(process=2)
    console.warn("by the first only")
    console.fail("here")
    console.configure()
    assert capsys.readouterr().err == "kdb: one two ?[2J\nkdb: said\nkdb: process 2: here\n"


HOSTILE = "\x1b[2J\x1b]0;pwned\x07"


def test_ids_and_domains_of_a_file_cannot_steer_a_terminal(kdb, tmp_path: Path) -> None:
    id_, domain = (f'"{HOSTILE}{n}"'.replace("\x1b", "\\u001b").replace("\x07", "\\u0007") for n in "id")
    session = (
        f'{{"kind":"session","id":{id_},"domain":{domain},"split":"test","items":[{{"id":{id_},"title":"A"}},'
        f'{{"id":"b","title":"B"}}],"bundles":[{{"items":["b",{id_}]}}]}}\n'
    )
    (tmp_path / "s.jsonl").write_text(session)
    done = kdb("infer", "s.jsonl", "--baseline", "whole-session", "--name", HOSTILE, "-o", "p.jsonl", cwd=tmp_path)
    assert done.code == 0, done.stderr
    for argv in (
        ["why", f"{HOSTILE}i", "--run", "p.jsonl", "--sessions", "s.jsonl"],
        ["why", "x", "--run", "p.jsonl", "--domain", HOSTILE],
        ["eval", "p.jsonl", "--table"],
        ["eval", "p.jsonl", "--best"],
        ["prompts", "show", "thought", "s.jsonl"],
        ["infer", f"{HOSTILE}.jsonl"],
        ["extract", "pattern", "s.jsonl", "--allow-test"],
        ["infer", "s.jsonl", "--baseline", HOSTILE],
    ):
        done = kdb(*argv, cwd=tmp_path)
        assert "Traceback" not in done.stderr
        assert not set("\x1b\x07") & set(done.stdout + done.stderr), argv


# ---- real processes: what standard streams are


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    script = script.replace("kdb ", f"{sys.executable} -m kdb ")
    return subprocess.run(["bash", "-c", script], capture_output=True, timeout=120, env=environment)


@pytest.mark.parametrize(
    ("script", "code", "line"),
    [
        (f"kdb import --format jsonl {SESSIONS} >&-", 1, "stdout is closed (pass --output FILE)"),
        ("kdb extract pattern <&-", 1, "stdin is closed (name the files to read)"),
        (f"kdb import -q --format jsonl {SESSIONS} > /dev/full", 1, "stdout: No space left on device"),
        (f"kdb prompts show thought {SESSIONS} > /dev/full", 1, "No space left on device"),
    ],
)
def test_a_standard_stream_that_does_not_work_is_one_line(script: str, code: int, line: str) -> None:
    done = shell(script)
    assert (done.returncode, done.stderr.decode()) == (code, f"kdb: {line}\n")


def test_a_closed_stderr_does_not_send_messages_into_the_records() -> None:
    done = shell(f"kdb import --format jsonl {SESSIONS} 2>&-")
    assert done.returncode == 0
    assert all(line.startswith(b"{") for line in done.stdout.splitlines())
    assert len(done.stdout.splitlines()) == len(SESSIONS.read_bytes().splitlines())


def test_a_terminal_of_another_encoding_gets_what_it_can_show(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(
        SESSIONS.read_text().split("\n")[0].replace('title":"', 'title":"机 é ') + "\n"
    )
    done = shell(f"kdb prompts show thought {tmp_path / 's.jsonl'}", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert b"\\u673a \xe9" in done.stdout
