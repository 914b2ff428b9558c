"""Kills runs of the command line at random moments, and checks what a teacher's server saw of it.

`python tests/killing.py --sessions 20 --kills 20` does so with the packaged student behind `transformers serve`.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from support.serving import Recorder, recorded, transformers_serve

from kdb.teacher.cache import FILE, AnswerCache

SAMPLES = Path(__file__).parents[2] / "samples" / "sessions.jsonl"


def pipe(url: str, model: str, cache: Path, more: list[str], out: Path) -> subprocess.Popen:
    """Rules and thoughts of the sessions, in one pipe, as one process group."""
    kdb, own = f"{sys.executable} -m kdb", " ".join(more)
    teacher = f"--teacher {url} --model {model} --cache {cache} --allow-test --timeout 3600 --concurrency 4 {own}"
    rule, thought = f"extract rule {SAMPLES} {teacher}", f"extract thought - {teacher} --tries 2 --unverified keep"
    script = f"set -o pipefail; exec 2>{out}.err; {kdb} {rule} | {kdb} {thought} >{out}"
    return subprocess.Popen(["bash", "-c", script], start_new_session=True)


def kill(process: subprocess.Popen) -> None:
    """SIGKILL for the whole pipe."""
    with contextlib.suppress(ProcessLookupError):  # it was at its end already
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def answered(cache: Path) -> set[str]:
    """The messages of all requests in the cache."""
    if not (cache / FILE).exists():  # killed before there was one
        return set()
    return {json.dumps(entry.messages) for entry in AnswerCache(cache).entries()}


def messages(bodies: list[dict]) -> list[str]:
    return [json.dumps(body["messages"]) for body in bodies]


def kill_often(
    recorder: Recorder, url: str, model: str, folder: Path, kills: int, more: list[str]
) -> dict[str, int]:
    """Run with kills, then to the end, and beside it once undisturbed; AssertionError where anything is amiss."""
    chance, cache = random.Random(0), folder / "killed"
    sent: Counter[str] = Counter()
    cut_off: Counter[str] = Counter()
    cache.mkdir()
    for number in range(kills + 1):
        known, before = answered(cache), len(recorder.received)
        run = pipe(url, model, cache, more, folder / "killed.jsonl")
        if number < kills:
            _wait_for_a_request(recorder, before, run)
            time.sleep(chance.uniform(0, 1))
            kill(run)
        else:
            assert run.wait() == 0, (folder / "killed.jsonl.err").read_text()
        asked = messages(recorder.received[before:])
        assert len(set(asked)) == len(asked), "a request was sent twice by one run"
        assert not known & set(asked), "a request was sent that had an answer"
        sent.update(asked)
        cut_off.update(set(asked) - answered(cache))
    assert all(count == 1 + cut_off[text] for text, count in sent.items())
    assert set(sent) == answered(cache)
    before = len(recorder.received)
    assert pipe(url, model, folder / "calm", more, folder / "calm.jsonl").wait() == 0
    assert set(messages(recorder.received[before:])) == set(sent)
    assert (folder / "calm.jsonl").read_bytes() == (folder / "killed.jsonl").read_bytes()
    knowledge = (folder / "calm.jsonl").read_bytes().count(b'"kind":"knowledge"')
    return {"distinct": len(sent), "sent": sent.total(), "cut_off": cut_off.total(), "knowledge": knowledge}


def _wait_for_a_request(recorder: Recorder, before: int, run: subprocess.Popen) -> None:
    while len(recorder.received) == before and run.poll() is None:
        time.sleep(0.01)


def main() -> None:
    from kdb.student import weights

    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--model", default=weights.STUDENT)
    given = parser.parse_args()
    more = ["--sessions", str(given.sessions), "--max-tokens", str(given.max_tokens)]
    model = weights.student_path(given.model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with transformers_serve(model, folder / "log") as port, recorded(port) as (url, recorder):
            print(json.dumps(kill_often(recorder, url, model, folder, given.kills, more)))


if __name__ == "__main__":
    main()
