"""What an exported encoder says of a session of our own: by it a server is known to have the same weights."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from kdb.errors import KdbError
from kdb.student.pairwise.learner import PairLearner

FILE = "probe.json"
TOLERANCE = 1.0
"""In nats: weights in 8 bits differ by a few tenths, other weights by more."""
TITLES = (
    "Cast Iron Skillet, 12 Inch",
    "Silicone Handle Cover for Skillets",
    "USB-C Wall Charger, 30 W",
    "USB-C Cable, 6 ft",
    "Noise Cancelling Headphones",
    "Two Person Tent with Rain Fly",
    "Sleeping Bag for Three Seasons",
)


def write(learner: PairLearner, folder: Path) -> None:
    """Keep what the learner says."""
    (folder / FILE).write_bytes(msgspec.json.encode(learner.log_odds([TITLES])[0].tolist()) + b"\n")


def difference(folder: Path, learner: PairLearner) -> float:
    """How far the log odds of this learner are at most from those that were kept; KdbError where none were."""
    try:
        kept = np.array(msgspec.json.decode((folder / FILE).read_bytes(), type=list[list[float]]), dtype=np.float32)
    except (OSError, ValueError):
        raise KdbError(f"{folder / FILE} cannot be read", "write the folder anew with kdb export") from None
    found = learner.log_odds([TITLES])[0]
    return float(np.abs(found - kept).max()) if found.shape == kept.shape else float("inf")
