"""What scoring finds: of a run, of a session, between two runs."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from kdb.records.base import Record
from kdb.records.session import ImportInfo


class Metric(Record, tag="metric"):
    """The score of one run on one domain under one protocol; `intervals` are 95 % bootstrap bounds.

    A run with several seeds has a record for each seed and one for all of them: its values are means over the
    seeds, `seeds` names the runs that it stands for, `spread` are the standard deviations over them.

    `slice` names the slice of the sessions that was scored, such as `{"length": "4"}`; empty: all of them.
    `imported` is what is known of how the sessions were imported, each way that there was.
    """

    run: str
    domain: str
    protocol: str
    sessions: int
    values: dict[str, float | None]
    intervals: dict[str, tuple[float, float]] = {}
    counts: dict[str, int] = {}
    settings: dict[str, Any] = {}
    slice: dict[str, str] = {}
    imported: list[ImportInfo] = []
    seeds: list[str] = []
    spread: dict[str, float] = {}


class Comparison(Record, tag="comparison"):
    """The difference between a run and its reference (first minus second) on the same sessions of one domain.

    `family` names the question that it belongs to: `baseline` (each student against the best baseline) or a tag
    that the runs were given, such as `format`. `intervals` are 95 % paired bootstrap bounds, `p` are paired
    permutation tests, `p_holm` the same corrected over the comparisons of the family; both are empty where the
    difference is only described. `p_floor` is the smallest p that so many permutations can give.
    """

    runs: tuple[str, str]
    domain: str
    protocol: str
    sessions: int
    differences: dict[str, float | None]
    intervals: dict[str, tuple[float, float]]
    p: dict[str, float]
    p_holm: dict[str, float]
    family: str = ""
    reference: str = ""
    p_floor: float = 0.0


class ReliabilityBin(Struct):
    """Bundles of similar probability: how many, their mean probability, the share of them that are hits."""

    bundles: int
    probability: float
    precision: float


class PrecisionAtShare(Struct):
    """The precision of the bundles with the highest probabilities: their share, and the lowest one among them."""

    share: float
    precision: float
    probability: float


class Calibration(Record, tag="calibration"):
    """How far the probabilities of a run's bundles can be believed, on one domain."""

    run: str
    domain: str
    bundles: int
    bins: list[ReliabilityBin]
    kept: list[PrecisionAtShare]


class Match(Struct):
    """A predicted bundle and the true one matched with it; either is empty where there was no match."""

    predicted: list[str]
    true: list[str]
    jaccard: float
    hit: bool

    @property
    def verdict(self) -> str:
        """What became of the pair, in words."""
        return "hit" if self.hit else "no hit" if self.predicted else "missed"


class SessionScore(Record, tag="score"):
    """What one session adds to the sums that each metric is a ratio of, and the matches behind it."""

    run: str
    id: str
    domain: str
    status: str
    sums: dict[str, float]
    matches: list[Match]
