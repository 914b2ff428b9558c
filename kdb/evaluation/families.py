"""Which runs are compared: stated families, each with its reference, never every run with every other one.

`baseline`: each student against the best baseline, which is chosen on validation sessions or named; `baselines`
describes the difference of the other baselines to it, which no test is asked about.
A question such as `format`: each level of a tag against its reference level, with all other tags the same and
learnt from the same data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from kdb.evaluation.score_table import RunScores

BASELINE, BASELINES = "baseline", "baselines"
SEED = "seed"
QUESTIONS = {"format": "none", "strategy": "random", "quantity": "100 %", "utilization": "zero-shot"}
"""The tags that ask a question, each with the level that the others are compared with."""
DATA_VARIES = ("strategy", "quantity")
"""The questions whose levels differ in the data by design."""

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Family:
    """Comparisons that are corrected together, as (run, reference); `described` ones are not tested."""

    name: str
    tested: list[tuple[RunScores, RunScores]]
    described: list[tuple[RunScores, RunScores]]


def families(runs: Sequence[RunScores], reference: RunScores | None, questions: Mapping[str, str]) -> list[Family]:
    """All families of some runs on one domain; those without a comparison are left out."""
    made = _against(runs, reference) if reference else []
    made += [_question(runs, factor, level) for factor, level in questions.items()]
    return [family for family in made if family.tested or family.described]


def is_baseline(settings: Settings) -> bool:
    """Whether a run needed no student."""
    return bool(settings.get("baseline"))


def name_of(settings: Settings) -> str:
    """The name that a run was given, or that of its baseline."""
    return str(settings.get("name") or settings.get("baseline") or "")


def tags(settings: Settings) -> dict[str, str]:
    """What the run was declared to be, such as `{"format": "rule", "seed": "1"}`."""
    found = settings.get("tags")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, Mapping) else {}


def declared_baseline(runs: Sequence[RunScores], known: Iterable[str]) -> RunScores | None:
    """The baseline of the strongest design, whatever the runs scored; of equals the first.

    `known` names baselines from the weakest design on; any other one is stronger.
    """
    places = {name: place for place, name in enumerate(known)}
    baselines = [run for run in runs if is_baseline(run.settings)]
    return max(baselines, key=lambda run: places.get(run.settings["baseline"], len(places)), default=None)


def data_source(settings: Settings) -> frozenset[str]:
    """What the run learnt from or looked up, however: training, demonstrations, knowledge, fitted pair features."""
    has_adapter = bool(settings.get("adapter"))
    reads_kb = bool(settings.get("demos") or settings.get("knowledge") or settings.get("baseline"))
    sources = [settings.get("trained")] if has_adapter else []
    sources += [settings.get("kb")] if reads_kb or settings.get("fits_kb") else []
    return frozenset(_source(source) for source in sources if source)


def _source(summary: Any) -> str:
    """Sessions and how they were selected; what was extracted from them is another question."""
    kept = {key: summary.get(key) for key in ("sessions", "labelled", "validation", "domains", "selected")}
    return msgspec.json.encode(kept, order="sorted").decode()


def _against(runs: Sequence[RunScores], reference: RunScores) -> list[Family]:
    others = [run for run in runs if run is not reference]
    students = [run for run in others if not is_baseline(run.settings)]
    first, again = _without_duplicates(students)
    return [
        Family(BASELINE, [(run, reference) for run in first], [(run, reference) for run in again]),
        Family(BASELINES, [], [(run, reference) for run in others if is_baseline(run.settings)]),
    ]


def _question(runs: Sequence[RunScores], factor: str, level: str) -> Family:
    pairs = [
        (run, best)
        for run in runs
        if tags(run.settings).get(factor, level) != level and (best := _reference(run, runs, factor, level))
    ]
    tested: list[tuple[RunScores, RunScores]] = []
    for pair in pairs:
        if not any(all(a.is_duplicate_of(b) for a, b in zip(pair, other, strict=True)) for other in tested):
            tested.append(pair)
    return Family(factor, tested, [pair for pair in pairs if pair not in tested])


def _reference(run: RunScores, runs: Sequence[RunScores], factor: str, level: str) -> RunScores | None:
    """The run at the reference level that shares the baseline, every other tag that both have, and the data."""
    own, source = tags(run.settings), data_source(run.settings)
    found = []
    for other in runs:
        its = tags(other.settings)
        shared = (own.keys() & its.keys()) - {factor}
        data = data_source(other.settings)
        is_fair = factor in DATA_VARIES or not data or data == source
        is_fair &= other.settings.get("baseline") == run.settings.get("baseline")
        if its.get(factor) == level and all(own[key] == its[key] for key in shared) and is_fair:
            found.append((len(shared), other))
    return max(found, key=lambda entry: entry[0])[1] if found else None


def _without_duplicates(runs: Sequence[RunScores]) -> tuple[list[RunScores], list[RunScores]]:
    """The runs that answered otherwise than each one before, and the others."""
    first: list[RunScores] = []
    for run in runs:
        if not any(run.is_duplicate_of(other) for other in first):
            first.append(run)
    return first, [run for run in runs if run not in first]
