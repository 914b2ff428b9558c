"""A pair-prompts student behind a server of log probabilities decides as in this process; others are named."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.command_line import Result, run_kdb
from support.log_probabilities import PROGRAMS, LogProbModel, logprobs_served

from kdb.predictors.options import InferOptions
from kdb.predictors.served_prompts import ServedPrompts
from kdb.prompts.messages import Query
from kdb.records import Session
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student import config as configs
from kdb.student.methods.build import build_method
from kdb.student.model import load
from kdb.teacher.config import TeacherConfig

TRAIN = ("--answer", "pair-prompts", "--max-steps", "4", "--set", "r=4", "--set", "precision=fp32", "--no-intents")
FULL = ("--set", "precision=fp32")


@pytest.fixture(scope="module")
def lines(samples: Path) -> bytes:
    return b"".join([line for line in (samples / "sessions.jsonl").open("rb") if b'"split":"test"' in line][:3])


@pytest.fixture(scope="module")
def kb(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("served-prompts") / "kb.jsonl"
    lines = [line for line in (samples / "sessions.jsonl").open("rb") if b'"split":"test"' not in line]
    file.write_bytes(b"".join(lines[:60]))
    return file


@pytest.fixture(scope="module")
def merging_student(tiny_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose tokenizer reads the end of the question and the next line as one token, as those of Qwen do."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("merging")
    tokenizer, model = (
        AutoTokenizer.from_pretrained(tiny_student),
        AutoModelForCausalLM.from_pretrained(tiny_student),
    )
    tokenizer.add_tokens(["?\n"])
    model.resize_token_embeddings(len(tokenizer))
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def trained(kb: Path, student: Path) -> Path:
    folder = kb.parent / f"adapter-{student.name}"
    done = run_kdb("train", kb, "--student", student, "-o", folder, *TRAIN)
    assert done.code == 0, done.stderr
    return folder


def merged(adapter: Path) -> Path:
    folder = adapter.with_name(f"merged-{adapter.name}")
    done = run_kdb("export", "--adapter", adapter, "-o", folder)
    assert done.code == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def adapter(kb: Path, tiny_student: Path) -> Path:
    return trained(kb, tiny_student)


@pytest.fixture(scope="module")
def exported(adapter: Path) -> Path:
    return merged(adapter)


def ask(url: str, cache: Path, stdin: bytes, *more: object) -> Result:
    options = ["--backend", "endpoint", "--url", url, "--model", "m", "--set", f"cache={cache}"]
    return run_kdb("infer", *options, "--set", "retries=0", *more, stdin=stdin)


def predictions(done: Result) -> list[dict[str, Any]]:
    """What was predicted, and the log odds of all pairs with two places."""
    assert done.code == 0, done.stderr
    found = [record for record in done.records if record["kind"] == "prediction"]
    assert found and all(own["bundles"] and own["raw"] for own in found)
    return [{name: own[name] for name in ("id", "bundles", "raw", "demos", "knowledge")} for own in found]


def log_odds(folder: Path, url: str, cache: Path, session: Session) -> tuple[np.ndarray, np.ndarray]:
    """Those of the server and those of here."""
    server = TeacherConfig(teacher=url, model="m", cache=cache, retries=0)
    served = ServedPrompts(InferOptions(student=str(folder), server=server), KnowledgeBase())
    config = configs.read(folder / configs.METADATA_FOLDER)
    method = build_method(load(str(folder), precision="fp32"), config)
    [there], [here] = served._asking([Query(session)])(), method.read([Query(session)], 16)
    return there, here


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_server_says_what_the_student_says_here(exported, lines, tmp_path, program) -> None:
    model = LogProbModel(exported, program)
    with logprobs_served(model) as url:
        there, here = log_odds(exported, url, tmp_path, msgspec.json.decode(lines.splitlines()[0], type=Session))
    assert there.shape == here.shape and here.std() > 0.1
    assert np.abs(there - here).max() < 1e-3
    assert all(isinstance(body["prompt"], str) for body in model.asked)
    assert bool(model.asked[-1].get("echo")) == (program in ("echo", "biased"))


@pytest.mark.parametrize("of", ["adapter", "exported"])
def test_it_decides_as_here_and_is_asked_once(adapter, exported, lines, tmp_path, of) -> None:
    given = ("--adapter", adapter) if of == "adapter" else ("--student", exported)
    model = LogProbModel(exported)
    with logprobs_served(model) as url:
        found = predictions(done := ask(url, tmp_path, lines, *given))
        count = len(model.asked)
        again = ask(url, tmp_path, lines, *given, "--set", "concurrency=1")
    here = predictions(run_kdb("infer", *given, *FULL, stdin=lines))
    assert [one["id"] for one in found] == [one["id"] for one in here]
    for one, own in zip(found, here, strict=True):
        assert [bundle["items"] for bundle in one["bundles"]] == [bundle["items"] for bundle in own["bundles"]]
        assert [bundle["probability"] for bundle in one["bundles"]] == pytest.approx(
            [bundle["probability"] for bundle in own["bundles"]], abs=1e-3
        )
    sizes = [3, *(len(record["items"]) for record in map(msgspec.json.decode, lines.splitlines()))]
    assert count == sum(2 * n * (n - 1) for n in sizes)
    assert ("log odds differ by at most" in done.stderr) == (of == "exported")
    assert predictions(again) == found and len(model.asked) == count
    assert f"0 requests sent, {count} answers from the cache" in again.stderr


def test_what_stands_beside_a_session_is_asked_with_it(exported, kb, lines, tmp_path) -> None:
    more = ("--student", exported, "--kb", kb, "--demos", "1", "--samples", "2")
    with logprobs_served(LogProbModel(exported)) as url:
        found = predictions(ask(url, tmp_path, lines, *more))
    here = predictions(run_kdb("infer", *more, *FULL, stdin=lines))
    assert all(len(one["demos"]) == 1 for one in found)
    assert [one["demos"] for one in found] == [one["demos"] for one in here]
    numbers = [np.array([float(value) for own in part for value in own["raw"].split()]) for part in (found, here)]
    assert len(numbers[0]) > 10 and np.abs(numbers[0] - numbers[1]).max() <= 0.011


def test_tokens_go_as_numbers_where_a_text_is_read_otherwise(kb, merging_student, lines, tmp_path) -> None:
    folder = merged(trained(kb, merging_student))
    session = msgspec.json.decode(lines.splitlines()[0], type=Session)
    model = LogProbModel(folder)
    with logprobs_served(model) as url:
        there, here = log_odds(folder, url, tmp_path, session)
    assert np.abs(there - here).max() < 1e-3
    assert all(isinstance(body["prompt"], list) for body in model.asked)
    with logprobs_served(LogProbModel(folder, "llama-cpp-python")) as url:
        done = ask(url, tmp_path, lines, "--student", folder)
    assert (done.code, done.out, len(done.stderr.splitlines())) == (1, b"", 1)
    assert "answers 422" in done.stderr


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("unsupported", "not supported for models created with logits_all=False"),
        ("none", "gives no logprobs"),
        ("unbiased", "in place of ' no'"),
        ("begin", "tokens of a text of"),
        ("page", "answered with what is no completion"),
        ("chat", "answered 404"),
    ],
)
def test_a_server_that_does_not_give_what_is_needed_is_named(exported, lines, tmp_path, fault, words) -> None:
    model = LogProbModel(exported, fault=fault)
    with logprobs_served(model) as url:
        done = ask(url, tmp_path, lines, "--student", exported)
    assert (done.code, done.out, len(done.stderr.splitlines())) == (1, b"", 1), done.stderr
    assert words in done.stderr and url in done.stderr
    assert len(model.asked) <= 2  # one in each form


def test_llama_cpp_pythons_echo_is_not_taken(exported, lines, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("kdb.teacher.log_probabilities.FORMS", ("echo",))
    with logprobs_served(LogProbModel(exported, "llama-cpp-python")) as url:
        done = ask(url, tmp_path, lines, "--student", exported)
    assert (done.code, "log probabilities for" in done.stderr) == (1, True), done.stderr


def test_another_model_and_no_server_are_named(exported, merging_student, lines, tmp_path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    other = tmp_path / "other"
    model = AutoModelForCausalLM.from_pretrained(exported)
    for weight in model.parameters():
        weight.data *= 3
    model.save_pretrained(other)
    AutoTokenizer.from_pretrained(exported).save_pretrained(other)
    with logprobs_served(LogProbModel(other)) as url:
        done = ask(url, tmp_path, lines, "--student", exported)
    assert (done.code, done.out, "has another model" in done.stderr) == (1, b"", True), done.stderr
    done = ask(url, tmp_path / "empty", lines, "--student", exported)
    assert (done.code, done.out, "cannot be reached" in done.stderr) == (1, b"", True), done.stderr


def test_what_was_answered_before_a_failure_is_not_asked_again(exported, lines, tmp_path) -> None:
    broken = LogProbModel(exported, fails_after=40)
    with logprobs_served(broken) as url:
        done = ask(url, tmp_path, lines, "--student", exported, "--set", "concurrency=1")
        assert (done.code, "sessions have no answer" in done.stderr) == (1, True), done.stderr
        assert "Traceback" not in done.stderr
        answered, broken.fails_after = 40, 10**9
        sent = len(broken.asked)
        found = predictions(done := ask(url, tmp_path, lines, "--student", exported))
    assert f"{answered} answers from the cache" in done.stderr
    sizes = [3, *(len(record["items"]) for record in map(msgspec.json.decode, lines.splitlines()))]
    assert len(broken.asked) - sent == sum(2 * n * (n - 1) for n in sizes) - answered
    assert len(found) == 3


def test_the_limit_on_requests_holds(exported, lines, tmp_path) -> None:
    model = LogProbModel(exported)
    with logprobs_served(model) as url:
        done = ask(url, tmp_path, lines, "--student", exported, "--set", "max_requests=20")
    assert (done.code, len(model.asked), "--max-requests 20 is reached" in done.stderr) == (1, 20, True), (
        done.stderr
    )


def test_calls_that_cannot_be_are_usage_errors(adapter, exported, lines, tmp_path) -> None:
    for options, words in [
        (("--answer", "pair-prompts"), "pass its adapter as --adapter"),
        (("--adapter", adapter, "--set", "max_tokens=2"), "max_tokens has no effect"),
        (("--adapter", adapter, "--set", "temperature=1"), "temperature has no effect"),
    ]:
        done = ask("http://127.0.0.1:9/v1", tmp_path, lines, *options)
        assert (done.code, done.out, len(done.stderr.splitlines())) == (2, b"", 1), done.stderr
        assert words in done.stderr


def test_an_export_of_an_earlier_version_is_asked_without_comparison(exported, lines, tmp_path) -> None:
    shutil.copytree(exported, old := tmp_path / "old")
    (old / "kdb" / "probe.json").unlink()
    with logprobs_served(LogProbModel(exported)) as url:
        done = ask(url, tmp_path, lines, "--student", old)
    assert done.code == 0 and "gives log probabilities\n" in done.stderr
