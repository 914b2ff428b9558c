"""Cross-fitting: what a pair learner says of each session by a model that was not trained on it.

Whatever is fitted on top of a learner sees it this way as it will be for new sessions (stacking, Wolpert, 1992).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kdb import console
from kdb.errors import KdbError
from kdb.student import distributed
from kdb.student.pairwise.learner import LogOdds, PairLearner
from kdb.student.pairwise.training import FitSettings, PairTargets, fit

FOLDS = 3
FEW_SESSIONS = 30
"""Fewer sessions are cross-fitted in two folds."""


def fold_numbers(keys: Sequence[str], folds: int, seed: int = 0) -> list[int]:
    """A fold for each session, drawn by `seed` and the set of keys, all of one size. KdbError for a single one."""
    if len(keys) < 2:
        raise KdbError("one training session cannot be cross-fitted", "give two or more sessions with bundles")
    shuffled = sorted(set(keys))
    random.Random(seed).shuffle(shuffled)
    number = {key: n % min(folds, len(shuffled)) for n, key in enumerate(shuffled)}
    return [number[key] for key in keys]


def n_folds(sessions: int) -> int:
    """How many folds so many sessions are cross-fitted in."""
    return FOLDS if sessions >= FEW_SESSIONS else 2


def cross_fit(
    name: str,
    make: Callable[[], PairLearner],
    taught: PairTargets,
    folds: Sequence[int],
    settings: FitSettings,
    folder: Path,
) -> list[LogOdds]:
    """The log odds of the pairs of all sessions, those of each fold by a learner trained on the other folds.

    Each fold is kept in `folder` when it is done, and not done again. Several processes share the folds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = sorted(set(folds))
    for n, number in enumerate(numbers):
        file = folder / f"{name}-{number}.npz"
        if n % distributed.world_size() != distributed.rank() or file.exists():
            continue
        rest = [k for k, own in enumerate(folds) if own != number]
        held_out = [k for k, own in enumerate(folds) if own == number]
        learner = make()
        note = f"{name}, fold {n + 1} of {len(numbers)}"
        report = fit(learner, taught.subset(rest), settings, note)
        found = learner.log_odds(taught.subset(held_out).titles)
        outside = mean_loss(found, taught.subset(held_out).targets)
        console.say(f"{note}: loss {report.losses[-1]:.4f}, held out {outside:.4f}")
        _save(file, found)
    distributed.wait_for_all()
    odds: list[LogOdds] = [np.zeros((0, 0), dtype=np.float32)] * len(folds)
    for number in numbers:
        held_out = [k for k, own in enumerate(folds) if own == number]
        for k, own in zip(held_out, _load(folder / f"{name}-{number}.npz"), strict=True):
            odds[k] = own
    return odds


def mean_loss(odds: Sequence[LogOdds], together: Sequence[LogOdds]) -> float:
    """Cross-entropy in nats a pair, the mean over sessions of the mean over their pairs."""
    losses = []
    for own, targets in zip(odds, together, strict=True):
        places = np.triu_indices(len(own), 1)
        z, y = own[places], targets[places]
        if len(z):
            losses.append(float(np.mean(np.logaddexp(0, z) - y * z)))
    return float(np.mean(losses)) if losses else 0.0


def _save(file: Path, odds: Sequence[LogOdds]) -> None:
    part = file.with_suffix(".part")
    with part.open("wb") as out:
        np.savez(out, *odds)
    part.replace(file)


def _load(file: Path) -> list[LogOdds]:
    with np.load(file) as kept:
        return [kept[f"arr_{n}"] for n in range(len(kept.files))]
