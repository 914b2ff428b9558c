"""How far the probabilities of bundles can be believed: calibration error, reliability, precision of the likeliest.

The event is that a bundle is a hit under the strict protocol: that it lies within a true one.
"""

from __future__ import annotations

import numpy as np

from kdb.evaluation import bootstrap
from kdb.evaluation.matched_session import DIGITS
from kdb.evaluation.score_table import Intervals, Values
from kdb.records import Calibration, PrecisionAtShare, ReliabilityBin

BINS = 10
SHARES = tuple(n / 20 for n in range(1, 21))
NAME = "expected_calibration_error"


def calibration_error(bundles: np.ndarray, sessions: int, seed: int) -> tuple[Values, Intervals]:
    """The expected calibration error of (session, probability, hit) rows, with its interval over sessions.

    Σ over bins of (bundles in the bin / bundles) · |mean probability - share of hits|, with bins of equal numbers
    of bundles (Naeini et al. 2015 with the equal-mass bins of Nguyen and O'Connor 2015). Resamples keep the bins.
    """
    bins = equal_mass_bins(bundles)
    if not bins:
        return {NAME: None}, {}
    gaps = np.zeros((sessions, len(bins) + 1))
    for column, members in enumerate(bins):
        np.add.at(gaps[:, column], members[:, 0].astype(int), members[:, 1] - members[:, 2])
        np.add.at(gaps[:, -1], members[:, 0].astype(int), 1.0)
    value = float(_error(gaps.sum(axis=0)))
    spread = bootstrap.interval(_error(bootstrap.resampled_sums(gaps, seed)))
    bounds = {NAME: (round(spread[0], DIGITS), round(spread[1], DIGITS))} if spread else {}
    return {NAME: round(value, DIGITS)}, bounds


def _error(sums: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]


def equal_mass_bins(bundles: np.ndarray) -> list[np.ndarray]:
    """The rows by rising probability in `BINS` bins of nearly equal size; equal probabilities share a bin."""
    if not len(bundles):
        return []
    rising = bundles[np.argsort(bundles[:, 1], kind="stable")]
    ends = np.linspace(0, len(rising), BINS + 1).round().astype(int)[1:-1]
    # A bin ends where its last probability does, so that the order of equal ones decides nothing.
    ends = np.unique(np.searchsorted(rising[:, 1], rising[np.minimum(ends, len(rising) - 1), 1], side="left"))
    return [part for part in np.split(rising, ends[ends > 0]) if len(part)]


def calibration(run: str, domain: str, bundles: np.ndarray) -> Calibration:
    """The reliability bins, and the precision of the most probable bundles, for shares of them from 5 % to all."""
    falling = bundles[np.argsort(-bundles[:, 1], kind="stable")]
    hits = np.cumsum(falling[:, 2])
    lowest = [falling[max(1, round(share * len(falling))) - 1, 1] for share in SHARES]
    # Bundles of equal probability are kept together.
    sizes = dict.fromkeys(int(np.searchsorted(-falling[:, 1], -bound, side="right")) for bound in lowest)
    return Calibration(
        run=run,
        domain=domain,
        bundles=len(bundles),
        bins=[
            ReliabilityBin(len(part), *(round(float(part[:, n].mean()), DIGITS) for n in (1, 2)))
            for part in equal_mass_bins(bundles)
        ],
        kept=[
            PrecisionAtShare(
                round(size / len(falling), DIGITS),
                round(float(hits[size - 1]) / size, DIGITS),
                round(float(falling[size - 1, 1]), DIGITS),
            )
            for size in sizes
        ],
    )
