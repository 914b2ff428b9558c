"""How fast the record stream is: a million validated sessions through a stage that does nothing.

    python tests/bench/stream.py [RECORDS]

A child process runs the stage between two pipes, as in `kdb import | kdb ... | ...`. The goal is
1,000,000 records in under 60 s on two cores, in memory that does not grow with their number.
"""

import resource
import subprocess
import sys
import time

import msgspec
from rows import Row, conclude

from kdb.records import Bundle, Item, Session

GOAL_SECONDS, GOAL_MIB = 60, 100
STAGE = """
import sys
from kdb.io import stream
stream.write(stream.read([], ["session"]), sys.stdout.buffer)
"""


def session(n: int) -> bytes:
    """One session line of a usual size: six items with titles and categories, two bundles."""
    items = [
        Item(
            f"{n}-{k}",
            f"Brand {k} Stainless Steel Cable Organizer, Pack of {n % 9 + 2}",
            [["Home", "Storage"]],
        )
        for k in range(6)
    ]
    bundles = [Bundle([items[0].id, items[1].id], "tidy desk"), Bundle([items[2].id, items[5].id], "moving")]
    record = Session(id=str(n), domain="bench", items=items, split="train", bundles=bundles)
    return msgspec.json.encode(record) + b"\n"


def pump(count: int) -> int:
    """Send `count` sessions through the stage; the bytes that came out."""
    block = b"".join(map(session, range(1000)))  # the same ones again and again: making them must cost nothing
    stage = subprocess.Popen([sys.executable, "-c", STAGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    reader = subprocess.Popen(["wc", "-c"], stdin=stage.stdout, stdout=subprocess.PIPE)
    assert stage.stdin and stage.stdout
    stage.stdout.close()  # so that only the reader holds it
    for _ in range(count // 1000):
        stage.stdin.write(block)
    stage.stdin.close()
    out, _ = reader.communicate()
    if stage.wait() or int(out) != len(block) * (count // 1000):
        raise SystemExit("the stage failed or lost something")
    return int(out)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    start = time.perf_counter()
    size = pump(count)
    seconds = time.perf_counter() - start
    mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    what = f"{count:,} sessions of {size / count:.0f} bytes through a stage"
    conclude(
        Row(what, f"{GOAL_SECONDS} s", GOAL_SECONDS / seconds, 1, {"s": seconds}),
        Row(f"memory for {what}", f"{GOAL_MIB} MiB", GOAL_MIB / mib, 1, {"MiB": mib}),
    )


if __name__ == "__main__":
    main()
