"""A local model as teacher: it keeps to the schema, answers the same in any batch, and is asked once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.command_line import run_kdb

from kdb.teacher import Answer, Identity, Request, Sampling
from kdb.teacher.local import LocalModel

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


def request(text: str) -> Request:
    return Request("test", [{"role": "user", "content": text}], SCHEMA, Sampling(max_tokens=12), expected_tokens=12)


def test_local_model_keeps_to_the_schema_and_to_itself_in_a_batch(tiny_student: Path) -> None:
    def ask(batch: int) -> list[Answer]:
        teacher = LocalModel(Identity("", "tiny"), str(tiny_student), batch)
        with ThreadPoolExecutor(5) as pool:
            return list(pool.map(teacher.ask, [request("hello " * n) for n in range(1, 6)]))

    together, alone = ask(4), ask(1)
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


def test_precision_is_part_of_who_answers(tiny_student: Path, samples: Path, tmp_path: Path) -> None:
    stdin = b"".join(line for line in (samples / "sessions.jsonl").open("rb") if b'"split":"train"' in line)
    options = ["--teacher", tiny_student, "--cache", tmp_path, "--max-tokens", 32, "--sessions", 3]
    full = run_kdb("extract", "correction", *options, stdin=stdin)
    half = run_kdb("extract", "correction", *options, "--set", "precision=bf16", stdin=stdin)
    again = run_kdb("extract", "correction", *options, "--set", "precision=bf16", stdin=stdin)
    assert (full.code, half.code, half.out) == (0, 0, again.out)
    assert "3 requests sent" in half.stderr  # those in fp32 are other answers
    assert "3 answers from the cache" in again.stderr


def test_precision_of_a_server_is_its_own(samples: Path, tmp_path: Path) -> None:
    options = ["--teacher", "http://localhost:1/v1", "--model", "m", "--set", "precision=bf16", "--cache", tmp_path]
    result = run_kdb("extract", "thought", samples / "sessions.jsonl", *options)
    assert result.code == 2
    assert "precision" in result.stderr.splitlines()[-1]
