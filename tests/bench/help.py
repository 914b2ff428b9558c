"""How long `kdb --help` takes, the interpreter's own start included.

    python tests/bench/help.py

The goal is under 0.2 s, by the median of 15 runs.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from rows import Row, conclude

GOAL_SECONDS, RUNS = 0.2, 15
KDB = str(Path(sys.executable).with_name("kdb"))


def seconds(*command: str) -> float:
    """The median over all runs."""
    found = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def main() -> None:
    """Print how many times under the goal it is."""
    own, bare = seconds(KDB, "--help"), seconds(sys.executable, "-c", "pass")
    figures = {"seconds": own, "seconds_of_python_alone": bare}
    conclude(Row("kdb --help", f"{GOAL_SECONDS} s", GOAL_SECONDS / own, 1, figures))


if __name__ == "__main__":
    main()
