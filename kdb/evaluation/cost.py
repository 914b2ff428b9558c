"""What a run's answers cost; how much of a teacher's quality a student keeps, at what share of its cost."""

from __future__ import annotations

import numpy as np

from kdb.evaluation.matched_session import DIGITS
from kdb.evaluation.score_table import (
    Intervals,
    MetricDefinitions,
    ResampledSums,
    Values,
    intervals,
    metric_values,
    named,
)
from kdb.records import Run


def cost(run: Run | None, values: Values) -> Values:
    """Parameters, peak memory and estimated FLOPs a session, as far as the `run` record has measured them.

    A forward pass takes about 2 FLOPs for each parameter and token (Kaplan et al. 2020, arXiv 2001.08361).
    """
    measured = run.measured if run else {}
    found: Values = {name: measured[name] for name in ("parameters", "peak_memory_mb") if name in measured}
    if parameters := found.get("parameters"):
        found["flops"] = round(2 * parameters * _tokens(values))
    return found


def _tokens(values: Values) -> float:
    return (values["prompt_tokens"] or 0.0) + (values["completion_tokens"] or 0.0)


def retention(own: ResampledSums, teacher: ResampledSums, metrics: MetricDefinitions) -> tuple[Values, Intervals]:
    """Each metric as a share of the teacher's, with intervals from resamples of the same sessions."""

    def shares(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        top = metric_values(mine, metrics, own.columns)
        bottom = metric_values(theirs, metrics, teacher.columns)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(bottom > 0, top / bottom, np.nan)

    names = [f"retention_{name}" for name in metrics]
    values = named(shares(own.sums, teacher.sums), names)
    return values, intervals(shares(own.samples, teacher.samples), names)


def cost_shares(own: Values, teacher: Values) -> Values:
    """How many times faster than the teacher, and the shares of its tokens, FLOPs and dollars."""

    def share(top: float | None, bottom: float | None) -> float | None:
        return round(top / bottom, DIGITS) if top is not None and bottom else None

    return {
        "speed_up": share(teacher["seconds"], own["seconds"]),
        "token_share": share(_tokens(own), _tokens(teacher)),
        "flops_share": share(own.get("flops"), teacher.get("flops")),
        "dollar_share": share(own["dollars"], teacher["dollars"]),
    }
