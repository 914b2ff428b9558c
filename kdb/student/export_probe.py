"""What an exported student says of a session of our own: by it a server is known to have the same weights."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from kdb.errors import KdbError
from kdb.records import Item, Session

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
SESSION = Session(id="probe", domain="check", items=[Item(str(n), title) for n, title in enumerate(TITLES[:3])])
"""Few products, where each pair is asked about."""


def write(log_odds: NDArray[np.float32], folder: Path) -> None:
    """Keep what the student says."""
    (folder / FILE).write_bytes(msgspec.json.encode(log_odds.tolist()) + b"\n")


def check(log_odds: NDArray[np.float32], folder: Path, server: str) -> float:
    """How far these log odds are at most from those that were kept.

    KdbError where none were, or where that is more than rounding, so that `server` has another model.
    """
    try:
        kept = np.array(msgspec.json.decode((folder / FILE).read_bytes(), type=list[list[float]]), dtype=np.float32)
    except (OSError, ValueError):
        raise KdbError(f"{folder / FILE} cannot be read", "write the folder anew with kdb export") from None
    difference = float(np.abs(log_odds - kept).max()) if log_odds.shape == kept.shape else float("inf")
    if not difference <= TOLERANCE:
        raise KdbError(
            f"{server} has another model: its log odds are {difference:.2g} from the exported ones",
            f"serve {folder.parent}",
        )
    return difference
