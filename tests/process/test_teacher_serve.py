"""Against servers on loopback, `transformers serve` among them: protocol, plan, and SIGKILL at random moments."""

from pathlib import Path

from support.command_line import run_kdb
from support.fake_teacher import FakeTeacher, running
from support.killing import kill_often
from support.serving import recorded, transformers_serve

from kdb.student import weights

KILLS = 4
"""The campaign (`make campaign`) kills more often."""


def test_packaged_student_serves_as_teacher(samples: Path, tmp_path: Path) -> None:
    model = weights.student_path(weights.STUDENT)
    common = ["--model", model, "--allow-test", "--max-tokens", "12", "--cache", tmp_path, "--sessions", "2"]
    with transformers_serve(model, tmp_path / "log") as port, recorded(port) as (url, recorder):
        options = [samples / "sessions.jsonl", "--teacher", url, *common]
        [plan] = run_kdb("extract", "rule", *options, "--dry-run").records
        assert (plan["measured"]["requests"], recorder.received) == (6, [])
        first = run_kdb("extract", "rule", *options)
        assert (first.code, len(recorder.received)) == (0, 6)
        assert "6 requests sent" in first.stderr
        assert run_kdb("extract", "rule", *options).out == first.out
        stopped = run_kdb("extract", "thought", *options, "--max-requests", "1", "--tries", "1")
        assert (stopped.code, len(recorder.received)) == (1, 7)


def test_killed_often_with_a_real_server(tiny_student: Path, tmp_path: Path) -> None:
    more = ["--sessions", "20", "--max-tokens", "16"]
    with transformers_serve(str(tiny_student), tmp_path / "log") as port, recorded(port) as (url, recorder):
        counts = kill_often(recorder, url, str(tiny_student), tmp_path, KILLS, more)
    assert counts["distinct"] >= 20 * 4


def test_killed_often_with_a_teacher_that_knows(tmp_path: Path) -> None:
    server = FakeTeacher(latency=0.05)
    with running(server) as url:
        counts = kill_often(server, url, "gpt-4o-mini", tmp_path, KILLS, ["--sessions", "20"])
    assert counts["distinct"] == 20 * 4
    assert counts["knowledge"] >= 20
