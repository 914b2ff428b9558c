"""What stands in a report, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from kdb.evaluation import titles
from kdb.records import Run
from kdb.report import data_policy, facts, plots, questions, tables
from kdb.report.blocks import Block, Heading, Text
from kdb.report.results import Results

READING = (
    "Strict protocol: a predicted bundle hits if it lies within a true one; sessions without a valid prediction "
    "score 0. In brackets 95 % bootstrap intervals over sessions. Bold: better than every other run beside it, "
    "by a paired permutation test with p < 0.05 after Holm's correction."
)
RELEASED = (
    "Recall counts predictions here, so that it can pass 1, and sessions without a parsed prediction "
    "leave the mean."
)


def document(
    domains: Sequence[Results], runs: Mapping[str, Run], title: str, notes: Sequence[str], cells: Sequence[str] = ()
) -> list[Block]:
    """The report on some domains; `runs` are the `run` records by id, `notes` what the reader has to know.

    `cells` name runs that belong there: those without a result are marked as not run.
    """
    blocks: list[Block] = [Heading(title, 1), Text([READING])]
    for n, results in enumerate(domains, 1):
        blocks += _domain(results, cells, f"{n}-{re.sub('[^a-z0-9]+', '-', results.domain.lower()).strip('-')}")
    policy = [line for results in domains for line in data_policy.lines(results, bool(notes))]
    return [*blocks, Heading("Data"), Text([*policy, *notes]), *facts.provenance(domains, runs)]


def _domain(results: Results, cells: Sequence[str], prefix: str) -> Iterator[Block]:
    """What is known of one domain; `prefix` starts the names of its figures."""
    yield Heading(results.domain)
    yield Text([f"{tables.sessions(results)}."])
    yield tables.quality(results, cells)
    if verdicts := tables.verdicts(results):
        yield Text(verdicts)
    for factor, question in questions.QUESTIONS.items():
        yield Heading(f"{results.domain}, {factor}: {question}", 3)
        yield questions.table(results, factor) or Text([f"Not run: no two runs differ in {factor} alone."])
    yield Heading(f"{results.domain}: as the code released with AICL scores", 3)
    yield Text([RELEASED])
    yield tables.released(results)
    beside = {
        "what is wrong with the answers": titles("answers", "intents"),
        "cost of a session": titles("cost"),
        "against the teacher": titles("teacher"),
    }
    for name, columns in beside.items():
        if table := tables.of_runs(results, columns):
            yield Heading(f"{results.domain}: {name}", 3)
            yield table
    if sliced := tables.slices(results):
        yield Heading(f"{results.domain}: slices of the sessions", 3)
        yield sliced
    if drawn := list(plots.figures(results, prefix)):
        yield Heading(f"{results.domain}: figures", 3)
        yield from drawn
