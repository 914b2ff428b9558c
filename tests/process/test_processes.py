"""Several processes as one run: they lose as one process with their batches together, and one of them speaks."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from support.command_line import Result

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
LAUNCH = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "kdb")
# With 17 sessions and 4 a step, the last step of an epoch is one example: the second process has no share in it.
SMALL = ("--answer", "list", "--no-intents", "--set", "r=4", "--learning-rate", "0.01", "--set", "precision=fp32")
LOSSES_AGREE = 1e-4
"""Relative: the same sums in fp32, in another order, over 12 steps."""


@pytest.fixture(scope="module")
def sessions(samples, tmp_path_factory):
    """Seventeen training and four validation sessions of the samples."""
    by_split: dict[str, list[bytes]] = {"train": [], "validation": [], "test": []}
    for line in (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True):
        by_split[msgspec.json.decode(line)["split"]].append(line)
    file = tmp_path_factory.mktemp("sessions") / "kb.jsonl"
    file.write_bytes(b"".join(by_split["train"][:17] + by_split["validation"][:4]))
    return file


def launch(*argv: object, command: tuple[str, ...] = LAUNCH, stdin: bytes = b"") -> Result:
    """Run `kdb ARGV` in two processes to its end."""
    done = subprocess.run(
        [*command, *map(str, argv)], input=stdin, capture_output=True, timeout=300, env=ENVIRONMENT
    )
    return Result(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def said(done: Result) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("kdb: ")]


def train(sessions: Path, student: Path, folder: Path, batch: int, *more: object) -> list[object]:
    return [
        "train",
        sessions,
        "--student",
        student,
        "-o",
        folder,
        *SMALL,
        "--set",
        f"per_device_train_batch_size={batch}",
        *more,
    ]


@pytest.fixture(scope="module")
def alone(kdb, sessions, tiny_student, tmp_path_factory):
    """The record of one process with twice the batch."""
    folder = tmp_path_factory.mktemp("alone") / "adapter"
    done = kdb(*train(sessions, tiny_student, folder, 4, "--max-steps", 12))
    assert done.code == 0, done.stderr
    return done.records[0]["measured"]


def agree(measured: dict, wanted: dict) -> None:
    assert measured["steps"] == wanted["steps"]
    assert measured["tokens"] == wanted["tokens"]
    assert measured["losses"] == pytest.approx(wanted["losses"], rel=LOSSES_AGREE)
    assert len(set(wanted["losses"])) == len(wanted["losses"]) > 1  # something was learnt
    for own, other in zip(measured["validation"], wanted["validation"], strict=True):
        assert own["loss"] == pytest.approx(other["loss"], rel=LOSSES_AGREE)


def test_two_processes_lose_as_one_with_twice_the_batch(sessions, tiny_student, alone, tmp_path):
    done = launch(*train(sessions, tiny_student, tmp_path / "out", 2, "--max-steps", 12))
    assert done.code == 0, done.stderr
    (record,) = done.records
    assert record["settings"]["training"]["world_size"] == 2
    agree(record["measured"], alone)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert {
        "adapter_model.safetensors",
        "adapter_config.json",
        "kdb.json",
        "run.json",
        "README.md",
        "sessions.json",
    } == {p.name for p in (tmp_path / "out").iterdir()}
    assert len(said(done)) == len(set(said(done)))
    assert sum("training" in line for line in said(done)) == 1


@pytest.fixture(scope="module")
def killed(sessions, tiny_student, tmp_path_factory):
    """What a run of two processes left when the second of them was killed, once there was a checkpoint."""
    folder = tmp_path_factory.mktemp("killed")
    argv = train(sessions, tiny_student, folder / "out", 2, "--max-steps", 12, "--resume")
    checkpoint = folder / "out.kdb-part" / "checkpoint.pt"
    run = subprocess.Popen([*LAUNCH, *map(str, argv)], env=ENVIRONMENT, stderr=subprocess.PIPE)
    while not checkpoint.exists():
        assert run.poll() is None, run.stderr and run.stderr.read().decode()
        time.sleep(0.01)
    os.kill(second_of(run.pid), signal.SIGKILL)
    began = time.monotonic()
    run.communicate(timeout=30)
    assert run.returncode != 0
    assert time.monotonic() - began < 15
    assert checkpoint.exists()
    assert not (folder / "out").exists()
    return folder


@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_process_ends_the_run_which_then_goes_on(
    kdb, sessions, tiny_student, alone, killed, tmp_path, processes
):
    """In as many processes as before or in one; then it has taken as many steps as without it."""
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    argv = train(sessions, tiny_student, tmp_path / "out", 2, "--max-steps", 12, "--resume")
    done = kdb(*argv) if processes == 1 else launch(*argv)
    assert done.code == 0, done.stderr
    assert "going on from step" in done.stderr
    assert done.records[0]["settings"]["training"]["world_size"] == 2
    agree(done.records[0]["measured"], alone)


def second_of(launcher: int) -> int:
    """The process id of the second worker, which says so in its environment."""
    for worker in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        if b"RANK=1" in Path(f"/proc/{worker}/environ").read_bytes().split(b"\0"):
            return int(worker)
    raise AssertionError("no second worker")


def test_stdin_is_for_one_process(sessions, tmp_path):
    done = launch("train", sessions, "-", "-o", tmp_path / "out", stdin=sessions.read_bytes())
    assert done.code != 0
    # Whichever process ends first says so, and the launcher stops the other.
    assert {line.replace("process 1: ", "") for line in said(done)} == {
        "kdb: several processes cannot share stdin (name the files to read)"
    }
    assert not done.out


@pytest.fixture(scope="module")
def two_windows(samples, tmp_path_factory):
    """Sessions for a window and a part of another, the short ones of the samples."""
    lines = (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True)
    file = tmp_path_factory.mktemp("windows") / "sessions.jsonl"
    file.write_bytes(b"".join(sorted(lines, key=len)[:68]))
    return file


def test_two_processes_predict_as_one(kdb, two_windows, tiny_student):
    argv = ["infer", two_windows, "--student", tiny_student, "--answer", "labels", "--no-intents"]
    argv += ["--set", "precision=fp32"]
    alone, together = kdb(*argv), launch(*argv)
    assert (alone.code, together.code) == (0, 0), together.stderr
    assert untimed(together.records) == untimed(alone.records)
    assert len({str(r["bundles"]) for r in alone.records[1:-1]}) > 5


def test_two_processes_finish_what_one_began(kdb, two_windows, tmp_path):
    argv = ["infer", two_windows, "--baseline", "all-pairs"]
    alone, out = kdb(*argv), tmp_path / "out.jsonl"
    out.write_bytes(b"".join(alone.out.splitlines(keepends=True)[:66]))
    done = launch(*argv, "--resume", out)
    assert (done.code, done.out) == (0, b""), done.stderr
    whole = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert whole[:65] == alone.records[:65]  # the first window stands
    assert untimed(whole) == untimed(alone.records)


def untimed(records: list[dict]) -> list[dict]:
    """Without what no two runs have the same."""
    measured = {"peak_memory_mb": 0}
    return [
        {**r, "seconds": 0} | ({"measured": {**r["measured"], **measured}} if "measured" in r else {})
        for r in records
    ]


@pytest.fixture
def gpu():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.mark.usefixtures("gpu")
def test_bf16_on_a_gpu(kdb, sessions, tiny_student, tmp_path):
    more = ("--max-steps", 2, "--set", "device=cuda", "--set", "precision=bf16")
    done = kdb(*train(sessions, tiny_student, tmp_path / "out", 4, *more))
    assert done.code == 0, done.stderr
    assert "bfloat16 on cuda" in done.stderr
    assert json.loads((tmp_path / "out" / "run.json").read_text())["measured"]["steps"] == 2


@pytest.mark.usefixtures("gpu")
def test_more_processes_than_gpus_is_one_line(sessions, tiny_student, tmp_path):
    import torch

    command = tuple(str(torch.cuda.device_count() + 1) if word == "2" else word for word in LAUNCH)
    argv = train(sessions, tiny_student, tmp_path / "out", 2, "--max-steps", 2, "--set", "device=cuda")
    done = launch(*argv, command=command)
    assert done.code != 0
    assert "GPU of its own" in done.stderr
