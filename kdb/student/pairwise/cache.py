"""Where trained learners are kept: in the cache for all runs that train the same, or in the folder of one run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from kdb.io import files, provenance
from kdb.student.pairwise.training import Maker, PairTargets


def learner_folder(maker: Maker, taught: PairTargets, run: Path | None) -> Path:
    """The folder for a learner and what it says out of fold. What shapes its weights is in the name.

    `run` is the folder of a learner without an identity.
    """
    if not maker.identity:
        assert run is not None
        return run
    import torch

    made = {**maker.identity, "threads": str(torch.get_num_threads())}
    name = provenance.content_hash([made, maker.settings, _hash(taught), provenance.versions()])
    return files.cache_folder() / "pair_learners" / name


def fold_folder(maker: Maker, folder: Path, folds: Sequence[int]) -> Path:
    """The folder in it for what the learner says of each fold by the others."""
    return folder / f"folds-{provenance.content_hash(list(folds))}" if maker.identity else folder


def _hash(taught: PairTargets) -> str:
    digest = hashlib.sha256()
    for titles, targets, weight in zip(taught.titles, taught.targets, taught.weights, strict=True):
        digest.update(repr((list(titles), float(weight), targets.shape)).encode("utf-8", "surrogatepass"))
        digest.update(targets.tobytes())
    return digest.hexdigest()
