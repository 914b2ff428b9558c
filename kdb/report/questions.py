"""The questions: recipes that differ in one factor only, on equal data, each against a reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kdb.evaluation.contrasts import Contrast
from kdb.records import SHOWN_AS
from kdb.report.factors import ALL, NONE, UTILIZATIONS, Factors
from kdb.report.results import PRIMARY, Recipe, Results

QUESTIONS = ("format", "quantity", "utilization")
_DATA = ("strategy", "quantity")
_FOLLOWS = {"utilization": ("demonstrations",), "quantity": ("strategy",)}
"""Factors that change with another one: who shows no demonstration has no number of them."""
_KNOWN = {*QUESTIONS, *_DATA, "baseline", "student", "answer", "utility"}
_KNOWN |= {"pair features", "grammar", "demonstrations"}


@dataclass(frozen=True)
class Group:
    """Recipes by their level of one factor, what they share, and the level that the others are compared with."""

    shared: Factors
    levels: dict[str, Recipe]
    reference: str

    @property
    def is_baseline(self) -> bool:
        """Whether these are the same baseline on different data."""
        return "baseline" in self.shared

    @property
    def baseline(self) -> str:
        """The baseline, and by which strategy its data were selected; empty for students."""
        names = ("baseline", "strategy") if self.is_baseline else ()
        return ", ".join(self.shared[name] for name in names if name in self.shared)


@dataclass(frozen=True)
class Question:
    """One factor, its groups, and the family of all contrasts in them."""

    factor: str
    groups: list[Group]
    contrasts: dict[tuple[Recipe, Recipe], Contrast] = field(repr=False)

    @property
    def title(self) -> str:
        """The factor as a heading."""
        return self.factor.capitalize()

    def contrast(self, group: Group, level: str) -> Contrast | None:
        """A level against the reference of its group."""
        return self.contrasts.get((group.levels[level], group.levels[group.reference]))

    @property
    def students(self) -> list[Group]:
        """The groups of students."""
        return [group for group in self.groups if not group.is_baseline]


def questions(results: Results) -> list[Question]:
    """The three questions, and one for every other factor that a grid declares."""
    declared = {name for one in results.recipes for name in one.factors if name not in _KNOWN}
    return [_question(results, factor) for factor in [*QUESTIONS, *sorted(declared)]]


def _question(results: Results, factor: str) -> Question:
    groups = _groups(results, factor)
    pairs = [
        (one, group.levels[group.reference])
        for group in groups
        for level, one in group.levels.items()
        if level != group.reference and not group.is_baseline
    ]
    return Question(factor, groups, results.contrasts(factor, pairs))


def _groups(results: Results, factor: str) -> list[Group]:
    """Two levels or more each; the one with most levels first, then the one with the best recipe."""
    candidates = [one for one in results.recipes if factor in one.factors]
    if factor == "quantity":
        found = _series(candidates)
    else:
        found = [
            (dict(key), [one for one in candidates if _key(one, factor) == key and _data(one) in (data, ())])
            for key in dict.fromkeys(_key(one, factor) for one in candidates)
            for data in _data_of(one for one in candidates if _key(one, factor) == key)
        ]
    groups = [group for shared, its in found if (group := _group(results, factor, shared, its))]
    plain = [group for group in groups if group.shared.get("format", NONE) == NONE]
    groups = plain if factor != "format" and plain else groups

    def rank(group: Group) -> tuple[int, float]:
        return len(group.levels), max(results.value(one, PRIMARY) or 0.0 for one in group.levels.values())

    return sorted(groups, key=rank, reverse=True)


def _key(one: Recipe, factor: str) -> tuple[tuple[str, str], ...]:
    """All factors but the one that varies, those that follow it, and the data."""
    names = (factor, *_FOLLOWS.get(factor, ()), *_DATA)
    if factor not in _KNOWN:  # a grid that declares a factor of its own says all that differs by it
        return ()
    return tuple((k, v) for k, v in sorted(one.factors.items()) if k not in names)


def _data(one: Recipe) -> tuple[tuple[str, str], ...]:
    """The data that a recipe draws on; empty where it draws on none, which is fair beside any."""
    return tuple((name, one.factors[name]) for name in _DATA if name in one.factors)


def _data_of(recipes: Iterable[Recipe]) -> list[tuple[tuple[str, str], ...]]:
    found = list(dict.fromkeys(_data(one) for one in recipes))
    return [data for data in found if data] or found


def _series(candidates: Sequence[Recipe]) -> list[tuple[Factors, list[Recipe]]]:
    """Recipes that differ in their quantity only, a series for each strategy, which all of the data belongs to."""
    found = []
    for key in dict.fromkeys(_key(one, "quantity") for one in candidates):
        own = [one for one in candidates if _key(one, "quantity") == key]
        for strategy in dict.fromkeys(s for one in own if (s := one.factors.get("strategy"))):
            its = [one for one in own if one.factors.get("strategy") == strategy or one.factors["quantity"] == ALL]
            found.append(({**dict(key), "strategy": strategy}, its))
    return found


def _group(results: Results, factor: str, shared: Factors, recipes: Sequence[Recipe]) -> Group | None:
    plain = [one.factors[factor] for one in recipes]
    levels: dict[str, Recipe] = {}
    for one, level in zip(recipes, plain, strict=True):
        shown = [one.factors[name] for name in _FOLLOWS.get(factor, ()) if name in one.factors]
        levels.setdefault(f"{level} with {', '.join(shown)}" if plain.count(level) > 1 and shown else level, one)
    if len(levels) < 2:
        return None
    ordered = dict(sorted(levels.items(), key=lambda pair: _place(factor, pair[0])))
    stated = results.reference(factor, ordered.values())
    default = ALL if factor == "quantity" and ALL in ordered else next(iter(ordered))
    reference = next((level for level, one in ordered.items() if one == stated), default)
    data = {name: value for one in recipes for name, value in _data(one)} if factor != "quantity" else {}
    return Group({**shared, **data}, ordered, reference)


def _place(factor: str, level: str) -> tuple[float, str]:
    """Utilizations and formats by complexity, quantities by number, others in their order."""
    text = level.partition(" with ")[0]
    if factor == "utilization" and text in UTILIZATIONS:
        return UTILIZATIONS.index(text), level
    if factor == "format":
        parts, known = text.split(" + "), list(SHOWN_AS)
        first = known.index(parts[0]) if parts[0] in known else len(known)  # a tag may say anything
        return (0.0 if text == NONE else 10.0 * len(parts) + first), level
    if factor == "quantity":
        return share(level), level
    return 0.0, ""


def share(level: str) -> float:
    """The number in a quantity such as `10 %` or `200 sessions`."""
    amount = level.split(" ")[0]
    return float(amount) if amount.replace(".", "", 1).isdigit() else 0.0


def describe(shared: Factors, among: Sequence[Factors]) -> str:
    """A group in few words: its utilization and data, then what else is needed to tell it from the others."""
    texts = [_brief(one) for one in among]
    text = _brief(shared)
    alike = [one for one, its in zip(among, texts, strict=True) if its == text and one != shared]
    for name, value in shared.items():
        if any(one.get(name) != value for one in alike) and name not in (*_DATA, "utilization"):
            text += f", {name} {value}"
            alike = [one for one in alike if one.get(name) == value]
    return text.removeprefix(", ")


def _brief(shared: Factors) -> str:
    data = " ".join(shared[name] for name in _DATA if name in shared)
    parts = [shared.get("baseline", ""), shared.get("utilization", ""), "all data" if data == ALL else data]
    return ", ".join(filter(None, parts))
