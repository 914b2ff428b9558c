"""How long the default student trains: folds of embedder and student, the partition model, and what writes intents.

    python tests/bench/cross_fitting.py [SESSIONS.jsonl]

By default the sample sessions. The limit is 40 minutes for the 623 training sessions of Electronic on two cores,
and for other sessions as much a session. Nothing but the student's unpacked weights is taken from the cache.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from rows import Row, conclude

from kdb.io.files import cache_folder
from kdb.student import weights

LIMIT = 40 * 60 / 623
SAMPLES = Path(__file__).parents[2] / "samples" / "sessions.jsonl"


def main() -> None:
    """Train once and measure."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    weights.student_path(weights.STUDENT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").symlink_to(cache_folder().absolute() / "models")
        environment = {**os.environ, "KDB_CACHE": name}
        kdb = [sys.executable, "-m", "kdb"]
        sessions = folder / "sessions.jsonl"
        options = ["--format", "jsonl", "--split", "train,validation", "-q"]
        subprocess.run([*kdb, "import", str(file), *options, "-o", str(sessions)], env=environment, check=True)
        command = [*kdb, "train", str(sessions), "-o", str(folder / "adapter"), "-q"]
        began = time.perf_counter()
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        seconds = time.perf_counter() - began
    run = msgspec.json.decode(done.stdout)
    measured = run["measured"]
    count = measured["fitted_to"]["annotated"]
    figures = {"s": seconds, "s_a_session": seconds / count, "MiB": float(measured["peak_memory_mb"])}
    what = f"kdb train, cross-fitting and intents, on {count} sessions"
    conclude(Row(what, f"{LIMIT * count:.0f} s", LIMIT * count / seconds, 1, figures))


if __name__ == "__main__":
    main()
