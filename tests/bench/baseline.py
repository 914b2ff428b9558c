"""A baseline over a million sessions, in one process and in two that share them.

    python tests/bench/baseline.py [SESSIONS]

`kdb infer --baseline clusters` reads sessions of 2 to 9 products from a catalogue of 2,000 and clusters their
titles, whose embeddings are in the cache already. Goals: 10 minutes in one process, and 8,000 MiB; two processes
under `torchrun` at least 1.5 times as fast, with the same predictions but for times. What two processes can gain on
this machine is measured too: two commands at once, each on half of the sessions, which share nothing.
"""

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import msgspec
from rows import Row, conclude

from kdb.records import Item, Session

GOAL_MINUTES, GOAL_MIB = 10, 8_000
COMMAND = ["infer", "--baseline", "clusters", "-q"]
BRANDS = ("Acme", "Borealis", "Cobalt", "Delta", "Ember", "Fjord", "Gale", "Harbor", "Iris", "Juniper")
THINGS = ("frying pan", "kettle", "cable organiser", "desk lamp", "tent", "sleeping bag", "phone case", "charger")
SIZES = tuple(f"{n} pieces" for n in range(2, 27))


def write_sessions(file: Path, count: int) -> None:
    catalogue = [Item(f"i{n}", f"{b} {t}, {s}") for n, (b, t, s) in enumerate(
        (b, t, s) for b in BRANDS for t in THINGS for s in SIZES
    )]  # fmt: skip
    rng, encoder = random.Random(0), msgspec.json.Encoder()
    with file.open("wb") as out:
        for n in range(count):
            items = rng.sample(catalogue, rng.randrange(2, 10))
            out.write(encoder.encode(Session(id=str(n), domain="bench", items=items)) + b"\n")


def timed(command: list[str], out: Path) -> tuple[float, float]:
    """Seconds, and the MiB that the largest of its processes held."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    with out.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def halves(folder: Path, sessions: Path, count: int) -> float:
    """Seconds of two commands that run at once, each on half of the sessions."""
    with ThreadPoolExecutor(2) as pool, sessions.open("rb") as lines:
        for n in range(2):
            with (folder / f"half{n}.jsonl").open("wb") as half:
                half.writelines(islice(lines, count // 2))
        commands = [[sys.executable, "-m", "kdb", *COMMAND, str(folder / f"half{n}.jsonl")] for n in range(2)]
        outputs = [folder / f"half{n}.predictions.jsonl" for n in range(2)]
        return max(seconds for seconds, _ in pool.map(timed, commands, outputs))


def same(one: Path, other: Path) -> bool:
    """Whether two outputs are the same but for ids of runs and times."""
    with one.open("rb") as first, other.open("rb") as second:
        return all(_plain(a) == _plain(b) for a, b in zip(first, second, strict=True))


def _plain(line: bytes) -> bytes:
    return re.sub(rb'"(seconds|started|time)":[^,}]*', b"", line)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sessions = folder / "sessions.jsonl"
        write_sessions(sessions, count)
        python, torchrun = sys.executable, str(Path(sys.executable).with_name("torchrun"))
        with (folder / "first.jsonl").open("wb") as first, sessions.open("rb") as lines:
            first.writelines(islice(lines, 5_000))
        timed([python, "-m", "kdb", *COMMAND, str(folder / "first.jsonl")], folder / "embedded.jsonl")
        one, mib = timed([python, "-m", "kdb", *COMMAND, str(sessions)], folder / "one.jsonl")
        several = [torchrun, "--nproc-per-node", "2", "-m", "kdb", *COMMAND, str(sessions)]
        two, _ = timed(several, folder / "two.jsonl")
        if not same(folder / "one.jsonl", folder / "two.jsonl"):
            raise SystemExit("two processes predict otherwise than one")
        limit = halves(folder, sessions, count)
    what, seconds = f"{count:,} sessions by a baseline", GOAL_MINUTES * 60 * count / 1_000_000
    conclude(
        Row(what, f"{seconds:g} s", seconds / one, 1, {"s": one}),
        Row(f"{what}, two processes", "one process", one / two, 1.5, {"s": two, "s_of_two_commands": limit}),
        Row(f"memory for {what}", f"{GOAL_MIB} MiB", GOAL_MIB / mib, 1, {"MiB": mib}),
    )


if __name__ == "__main__":
    main()
