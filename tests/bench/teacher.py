"""Throughput of `kdb extract thought` against a teacher that answers each request after 100 ms.

    python tests/bench/teacher.py [SESSIONS]

The goals with 5,000: at least 250 requests a second, memory that grows by no more than 50 MB while they run, and
the first thought no later than a second after the first answer.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from rows import Row, conclude

LATENCY, CONCURRENCY = 0.1, 32
GOAL_SPEED, GOAL_MB, GOAL_DELAY = 250, 50, 1
SERVER = Path(__file__).parents[1] / "support" / "fake_teacher.py"


def sessions(count: int) -> bytes:
    """Sessions of eight products each, all different."""
    lines = []
    for n in range(count):
        items = [
            {"id": f"{n}-{i}", "title": f"Product {i} of session {n}, " + "with a long title " * 3}
            for i in range(8)
        ]
        bundles = [{"items": [f"{n}-{i}" for i in (0, 2, 5)], "intent": f"intent {n}"}]
        record = {
            "kind": "session",
            "id": str(n),
            "domain": "d",
            "split": "train",
            "items": items,
            "bundles": bundles,
        }
        lines.append(json.dumps(record))
    return "\n".join(lines).encode()


def memory(pid: int) -> float:
    """The resident memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def measure(count: int, folder: Path, server: IO[bytes]) -> dict[str, float]:
    (folder / "in.jsonl").write_bytes(sessions(count))
    port = server.readline().decode().strip()
    command = [sys.executable, "-m", "kdb", "extract", "thought", str(folder / "in.jsonl"), "--quiet"]
    options = ["--teacher", f"http://127.0.0.1:{port}/v1", "--model", "m", "--concurrency", str(CONCURRENCY)]
    process = subprocess.Popen([*command, *options, "--cache", str(folder)], stdout=subprocess.PIPE)
    assert process.stdout
    thoughts, first, begun, most, cpu = 0, 0.0, 0.0, 0.0, 0.0
    for line in process.stdout:
        thoughts += b'"kind":"knowledge"' in line[:30]
        if thoughts == 1 and not first:
            first, begun = time.monotonic(), memory(process.pid)
        if thoughts % 100 == 0:
            most = max(most, memory(process.pid))
        if thoughts == count:
            cpu = sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().split()[13:15])) / 100
            break
    seconds = time.monotonic() - first
    process.wait()
    answered = float(server.readline())
    return {
        "thoughts": thoughts,
        "requests_per_second": round((thoughts - 1) / seconds, 1),
        "seconds_to_first_thought": round(first - answered, 3),
        "memory_growth_mb": round(most - begun, 1),
        "cpu_ms_per_request": round(1000 * cpu / thoughts, 2),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    server = subprocess.Popen([sys.executable, str(SERVER), "--latency", str(LATENCY)], stdout=subprocess.PIPE)
    assert server.stdout
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(count, Path(folder), server.stdout)
    finally:
        server.kill()
    speed, growth, delay = (
        found["requests_per_second"],
        found["memory_growth_mb"],
        found["seconds_to_first_thought"],
    )
    what = f"{count:,} thoughts of a teacher that takes {1000 * LATENCY:.0f} ms"
    conclude(
        Row(what, f"{GOAL_SPEED} a second", speed / GOAL_SPEED, 1, found),
        Row(f"growth of memory in {what}", f"{GOAL_MB} MB", GOAL_MB / max(growth, 0.1), 1, {"MB": growth}),
        Row(f"first of {what}", f"{GOAL_DELAY} s", GOAL_DELAY / max(delay, 0.001), 1, {"s": delay}),
    )


if __name__ == "__main__":
    main()
