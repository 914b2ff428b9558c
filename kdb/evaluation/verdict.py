"""One sentence on the runs of a domain: what is best, what the student adds to it, and what that does not show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kdb.evaluation import PRIMARY_METRIC
from kdb.evaluation.contrasts import ALPHA
from kdb.evaluation.families import BASELINE, is_baseline
from kdb.evaluation.findings import FEW_SESSIONS
from kdb.evaluation.number_format import number, p_value, signed
from kdb.records import Comparison, Metric


def verdict(
    domain: str, metrics: Sequence[Metric], comparisons: Iterable[Comparison], names: Mapping[str, str]
) -> str:
    """The sentence; `metrics` are the strict ones of the runs, best first, `names` what to call them.

    It says that a run is better or worse than the reference only where the corrected test and the interval both do.
    """
    top = metrics[0]
    stated = {one.runs[0]: one for one in comparisons if one.family == BASELINE}
    tested = [metric for metric in metrics if metric.run in stated]
    if not tested:
        return f"{domain}: {names[top.run]} is highest ({_value(top)}{_alone(top, len(metrics))}."
    student, record = tested[0], stated[tested[0].run]
    reference = names[record.reference]
    base = next((metric for metric in metrics if metric.run == record.reference), None)
    known = f"{reference} ({_value(base)})" if base else reference
    gain, p = record.differences.get(PRIMARY_METRIC), record.p_holm.get(PRIMARY_METRIC)
    bounds = record.intervals.get(PRIMARY_METRIC)
    own = "the student" if sum(not is_baseline(metric.settings) for metric in metrics) == 1 else names[student.run]
    if gain is None or bounds is None or p is None:
        return f"{domain}: {own} and {known} cannot be compared."
    low, high = bounds
    span = f"95 % interval {signed(low)} to {signed(high)}"
    at_floor = record.p.get(PRIMARY_METRIC, 1.0) <= record.p_floor
    if p < ALPHA and (low > 0 or high < 0):
        better = "better" if gain > 0 else "worse"
        return (
            f"{domain}: {own} is {better} than {known} by {number(abs(gain))} ({span}, {p_value(p, at_floor)})"
            f"{_higher(metrics, student, gain, names)}."
        )
    head = f"nothing beats {known}; " if base and base.run == top.run else f"nothing is shown to beat {known}; "
    place = "level with it" if not round(gain, 3) else f"{number(abs(gain))} {'above' if gain > 0 else 'below'} it"
    few = record.sessions < FEW_SESSIONS
    tail = f"{record.sessions} sessions are too few to tell" if few else _ruled_out(low, high)
    return f"{domain}: {head}{own} is {place} ({span}); {tail}."


def _value(metric: Metric | None) -> str:
    return number(metric.values[PRIMARY_METRIC] if metric else None)


def _alone(top: Metric, runs: int) -> str:
    """The interval of a run that is compared with nothing."""
    bounds = top.intervals.get(PRIMARY_METRIC)
    interval = f", 95 % interval {number(bounds[0])} to {number(bounds[1])}" if bounds else ""
    return f"{interval})" + (f" among {runs} runs, none of which is a student" if runs > 1 else "")


def _higher(metrics: Sequence[Metric], student: Metric, gain: float, names: Mapping[str, str]) -> str:
    """A run above the best student that it was not compared with is not passed over."""
    top = metrics[0]
    return f"; {names[top.run]} is higher ({_value(top)})" if gain > 0 and top.run != student.run else ""


def _ruled_out(low: float, high: float) -> str:
    """What the interval excludes."""
    gain = f"a gain above {number(high)}" if high > 0 else "any gain"
    loss = f"a loss above {number(-low)}" if low < 0 else "any loss"
    return f"no difference is shown, {gain} and {loss} are ruled out"
