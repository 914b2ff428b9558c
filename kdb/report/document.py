"""The report as one HTML page and as Markdown, from what the other modules make of the records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from kdb.io.stream import Line
from kdb.records import Run
from kdb.report import facts, figures, svg
from kdb.report.drawing import Drawing
from kdb.report.examples import SessionExample, examples
from kdb.report.questions import QUESTIONS, questions
from kdb.report.results import PRIMARY, Results
from kdb.report.sentences import sentences
from kdb.report.table_formats import markdown, markdown_text
from kdb.report.tables import Table, tables

if TYPE_CHECKING:
    from jinja2 import Environment

NO_TIMES = "Cost: no figure, because neither seconds on an idle machine in one pass nor money were recorded."
NO_PROBABILITIES = "Calibration: the predictions carry no probabilities."
NO_EXAMPLES = "Examples: kdb report shows a best, a median and a worst session if it is given predictions too."


@dataclass(frozen=True)
class Part:
    """A heading with its figures, or one line in their place; `id` is its anchor."""

    id: str
    heading: str
    drawings: list[Drawing] = field(default_factory=list)
    line: str = ""
    examples: list[SessionExample] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """All that is said of one domain."""

    domain: str
    id: str
    facts: dict[str, str]
    sentences: list[str]
    overview: Drawing | None
    parts: list[Part]
    tables: dict[str, Table]

    @property
    def drawings(self) -> list[Drawing]:
        """Every figure."""
        return [*([self.overview] if self.overview else []), *(d for part in self.parts for d in part.drawings)]


def section(
    results: Results,
    runs: Mapping[str, Run],
    lines: Sequence[Line],
    absent: Sequence[str],
    digest: str,
    stated: bool,
) -> Section:
    """What stands in the report on one domain; `lines` are those of its examples."""
    name = re.sub("[^a-z0-9]+", "-", results.domain.lower()).strip("-") or "domain"
    return Section(
        domain=results.domain,
        id=name,
        facts=facts.facts(results, runs, digest, stated),
        sentences=[text for text in sentences(results) if text],
        overview=figures.overview(results),
        parts=_parts(results, lines, name),
        tables=tables(results, absent),
    )


def _parts(results: Results, lines: Sequence[Line], name: str) -> list[Part]:
    found = {question.factor: question for question in questions(results)}
    drawn = {
        "format": figures.of_effects(found["format"], 2),
        "quantity": figures.of_quantity(results, found["quantity"]),
        "utilization": figures.of_effects(found["utilization"], 4),
    }
    for n, factor in enumerate((f for f in found if f not in QUESTIONS), 7):
        drawn[factor] = figures.of_effects(found[factor], n)
    parts = [
        Part(f"{name}-{factor}", found[factor].title, [one]) for factor, one in drawn.items() if one
    ]  # of a question without runs a sentence on top has said so
    shown = sorted(results.recipes, key=lambda one: results.value(one, PRIMARY) or 0.0, reverse=True)
    costs = figures.of_cost(results, [one for one in shown if one not in results.duplicates])
    parts.append(Part(f"{name}-cost", "Cost", costs, "" if costs else NO_TIMES))
    calibration = figures.of_calibration(results)
    parts.append(Part(f"{name}-calibration", "Calibration", calibration, "" if calibration else NO_PROBABILITIES))
    told = examples(lines, results)
    parts.append(Part(f"{name}-examples", "Examples", line="" if told else NO_EXAMPLES, examples=told))
    return parts


def html(title: str, sections: Sequence[Section], notes: Sequence[str], provenance: Sequence[Table]) -> str:
    """One self-contained page: no script, no font, nothing from elsewhere."""
    page = _environment().get_template("report.html.j2")
    return page.render(title=title, sections=sections, notes=notes, provenance=provenance, colours=svg.css()) + "\n"


def markdown_page(
    title: str, sections: Sequence[Section], notes: Sequence[str], provenance: Sequence[Table]
) -> str:
    """The same to be read in a repository, its figures beside it."""
    page = _environment().get_template("report.md.j2")
    return page.render(title=title, sections=sections, notes=notes, provenance=provenance)


def unbroken(text: str) -> str:
    """The text with its p values and percentages kept on one line."""
    return re.sub(
        r"(?<=p) ([=<≤]) (?=\d)|(?<=\d) (?=%)", lambda m: f"\u00a0{m[1]}\u00a0" if m[1] else "\u00a0", text
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("kdb.report"),
        autoescape=lambda name: bool(name) and ".html" in str(name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["unbroken"] = unbroken
    made.filters["markdown"] = markdown_text
    made.filters["pipe_table"] = markdown
    return made
