"""Runs that differ in their seed alone, taken together: the mean over the seeds, and the spread over them.

The rows of a session are averaged over the seeds, so that tests and intervals pair over sessions within seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import structs

from kdb.evaluation.families import SEED, tags
from kdb.evaluation.matched_session import DIGITS
from kdb.evaluation.score_table import MetricDefinitions, ResampledSums, RunScores, metric_values
from kdb.io.provenance import content_hash


def over_seeds(runs: Sequence[RunScores]) -> list[RunScores]:
    """The runs, those with the same name and tags but several seeds as one, in the place of the first."""
    groups: dict[str, list[RunScores]] = {}
    for run in runs:
        own = tags(run.settings)
        of_several = {k: v for k, v in own.items() if k != SEED}
        key = content_hash([run.settings.get("name"), of_several]) if SEED in own else run.id
        groups.setdefault(key, []).append(run)
    return [_together(key, group) if len(group) > 1 else group[0] for key, group in groups.items()]


def spread(seeds: Sequence[RunScores], metrics: MetricDefinitions) -> dict[str, float]:
    """The standard deviation of each metric over the seeds (with n - 1); empty without seeds."""
    if len(seeds) < 2:
        return {}
    values = np.array([metric_values(run.whole.sums, metrics, run.columns) for run in seeds])
    found = values.std(axis=0, ddof=1)
    return {name: round(float(sd), DIGITS) for name, sd in zip(metrics, found, strict=True) if not np.isnan(sd)}


def _together(identity: str, group: list[RunScores]) -> RunScores:
    first = group[0]
    whole = ResampledSums(
        np.mean([run.whole.sums for run in group], axis=0),
        np.mean([run.whole.samples for run in group], axis=0),
        first.columns,
    )
    assert first.run, "only a run record has tags"
    record = structs.replace(first.run, id=identity, settings=_shared([run.settings for run in group]))
    table = np.mean([run.table for run in group], axis=0)
    return RunScores(identity, record, table, whole, np.zeros((0, 3)), group)


def _shared(settings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The settings that all runs have, and the tags but for the seed."""
    first, *others = settings
    shared = {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}
    return {**shared, "tags": {k: v for k, v in tags(first).items() if k != SEED}}
