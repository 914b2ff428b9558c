"""Scores and contrasts as sentences that say no more than their intervals; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kdb.evaluation.contrasts import Contrast
from kdb.evaluation.number_format import amount, number, p_value, signed

BEST = "the best method without a student"
FEW_SESSIONS = 60
"""Below so many sessions the sentence says that they are few."""


@dataclass(frozen=True)
class Score:
    """A matched F1; `among`: of so many it is the best on these same sessions, 0 where it was chosen elsewhere."""

    name: str
    value: float
    interval: Sequence[float] | None = None
    seeds: int = 1
    spread: float | None = None
    among: int = 0

    def text(self, word: str = "") -> str:
        """The value with its 95 % interval: `0.684 (0.641 to 0.727)`, `word` before the interval."""
        inside = [f"{word}{number(self.interval[0])} to {number(self.interval[1])}"] if self.interval else []
        if self.spread is not None:
            inside.append(f"standard deviation over {self.seeds} seeds {number(self.spread)}")
        return f"{number(self.value)} ({'; '.join(inside)})" if inside else number(self.value)


def difference(contrast: Contrast) -> str:
    """E.g. `+0.003 (−0.020 to +0.027, p = 1.00)`."""
    bounds = contrast.interval
    inside = [f"{signed(bounds[0])} to {signed(bounds[1])}"] if bounds else []
    return f"{signed(contrast.difference)} ({', '.join([*inside, p_value(contrast.p, contrast.at_floor)])})"


def conclusion(contrast: Contrast) -> str:
    """What a difference to a reference shows, and what its interval rules out."""
    if contrast.interval is None:
        return "without an interval nothing follows from it"
    low, high = contrast.interval
    if contrast.is_significant:
        least = low if contrast.difference > 0 else -high
        return f"{'a gain' if contrast.difference > 0 else 'a loss'} of at least {number(least)} is shown"
    if low > 0 or high < 0:
        return (
            f"the interval lies {'above' if low > 0 else 'below'} zero, but the corrected test does not confirm it"
        )
    gain, loss = (f"a {what} above {number(max(0.0, bound))}" for what, bound in (("gain", high), ("loss", -low)))
    return f"no difference is shown; {gain} and {loss} are ruled out"


def best_against_baseline(
    student: Score, baseline: Score, contrast: Contrast | None, sessions: int, bundles: int, title: str = BEST
) -> str:
    """Whether the student is better than the best method without one, or than what else `title` says of it."""
    true = f" with {bundles:,} true bundles" if bundles else ""
    few = ", which are few" if sessions < FEW_SESSIONS else ""
    text = (
        f"On {sessions:,} held-out sessions{true}{few}, the student {quoted(student.name)} reaches a matched F1 of "
        f"{student.text('95 % interval ')}; {title}, {quoted(baseline.name)}, reaches "
        f"{baseline.text()}. "
    )
    if contrast is None:
        return f"{text}The records do not compare the two."
    text += f"The paired difference is {difference(contrast)}: {conclusion(contrast)}."
    picked = [
        f"the {kind} as the best of {one.among}"
        for kind, one in (("student", student), ("baseline", baseline))
        if one.among > 1
    ]
    return text + (f" Chosen on these same sessions: {' and '.join(picked)}." if picked else "")


def quoted(name: str) -> str:
    """The name of a run inside a sentence, marked where it holds a comma or a blank."""
    return f"“{name}”" if " " in name or "," in name else name


@dataclass(frozen=True)
class Effect:
    """A level of a factor against its reference, in some setting."""

    level: str
    setting: str
    contrast: Contrast


def effects(factor: str, reference: str, shown: Sequence[Effect], family: Sequence[Effect]) -> str:
    """What the levels of a factor change against the reference, on equal data.

    `shown` are levels in one setting; `family` are all comparisons of the question, of which those that show a
    difference in another setting are named too.
    """
    setting = f" ({shown[0].setting})" if shown and shown[0].setting else ""
    text = f"{factor}{setting}, against {reference}: {_range(shown)}. {_told(shown)}"
    rest = [one for one in family if one.setting != shown[0].setting]
    clear = [one for one in rest if one.contrast.is_significant]
    if not clear:
        return text
    text += f" In other settings {len(clear)} of {len(rest)} comparisons show one"
    if any(one.contrast.is_significant for one in shown):
        return f"{text}."
    most = max(clear, key=lambda one: abs(one.contrast.difference))
    largest = ", the largest" if len(clear) > 1 else ""
    return f"{text}: {most.level} ({most.setting}) {difference(most.contrast)}{largest}."


def _range(shown: Sequence[Effect]) -> str:
    """All levels, or of more than three the lowest and the highest."""
    if len(shown) <= 3:
        return ", ".join(f"{one.level} {difference(one.contrast)}" for one in shown)
    low, *_, high = sorted(shown, key=lambda one: one.contrast.difference)
    return f"from {low.level} {difference(low.contrast)} to {high.level} {difference(high.contrast)}"


def _told(shown: Sequence[Effect]) -> str:
    clear = [one.level for one in shown if one.contrast.is_significant]
    if clear:
        return f"A difference is shown for {', '.join(clear)}" + ("." if len(clear) == len(shown) else " only.")
    highest = max((one.contrast.interval[1] for one in shown if one.contrast.interval), default=0.0)
    ruled_out = f"; a gain above {number(highest)} is ruled out" if highest > 0 else ""
    return f"No difference is shown{ruled_out}."


@dataclass(frozen=True)
class Spent:
    """What a run takes for 1,000 sessions, e.g. `reads`, `tokens`, and what the baseline takes."""

    verb: str
    unit: str
    student: float
    baseline: float


def cost(baseline: str, spent: Sequence[Spent], is_timed: bool) -> str:
    """What the student costs beside the baseline."""
    parts = [
        f"{one.verb} {amount(one.student)} {one.unit} ({quoted(baseline)}: {amount(one.baseline)})" for one in spent
    ]
    text = f"For 1,000 sessions the student {' and '.join(parts)}" if parts else "No cost was recorded"
    left_out = "" if is_timed else "; seconds are left out, because no idle machine measured them in one pass"
    return f"{text}{left_out}."
