"""Runs are compared only where they were asked the same: the same sessions, items, truth and import policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kdb import console
from kdb.errors import KdbError
from kdb.evaluation.score_stream import SESSIONS, ScoredStream
from kdb.evaluation.score_table import ScoreTable
from kdb.records import ImportInfo

POLICY = ("titles", "untitled", "truth")
"""What of an import decides which items and bundles a session has."""


def check_whole(stream: ScoredStream, partial: bool) -> None:
    """KdbError where a run that states its end has not all of its predictions; a warning if `partial` ones will do.

    Where the session records are given too, missing predictions were counted as failures already.
    """
    for run, domains in stream.tables.items():
        record = stream.runs.get(run)
        if record is None or not record.ends:
            continue
        stated = stream.ends.get(run)
        for domain, table in domains.items():
            if domain in stream.expected:
                continue
            if stated is None:
                problem = f"run {run} is not whole: it stopped after {len(table.rows)} sessions of {domain!r}"
            elif stated.get(domain) != len(table.rows):
                count = f"{len(table.rows)} of {stated.get(domain, 0)}"
                problem = f"run {run} is not whole: it has {count} sessions of {domain!r}"
            else:
                continue
            if not partial:
                hint = "kdb infer --resume FILE finishes it; with the session records too, missing ones fail"
                raise KdbError(problem, hint)
            console.warn(problem)


def check_policies(domain: str, streams: Iterable[ScoredStream]) -> None:
    """KdbError where two runs, or a run and the session records, were imported by other policies."""
    known: list[tuple[str, ImportInfo]] = [
        (source if source == SESSIONS else f"run {source}", way)
        for stream in streams
        for (source, its), ways in stream.policies.items()
        if its == domain
        for way in ways
    ]
    for source, way in known[1:]:
        first, other = known[0]
        for name in POLICY:
            own, its = getattr(way, name), getattr(other, name)
            if own != its:
                raise KdbError(
                    f"sessions of {domain!r} were imported in two ways: {name} {its or 'unknown'} ({first}), "
                    f"{name} {own or 'unknown'} ({source})",
                    "import the data once, and predict those sessions with every run",
                )


def common_sessions(domain: str, tables: Sequence[tuple[str, ScoreTable]], intersect: bool) -> list[str]:
    """The sessions of all runs, in the order of the first; KdbError where they differ, or there are none."""
    (first, table), *others = tables
    sessions = table.rows.keys()
    for other, its in others:
        more, less = len(sessions - its.rows.keys()), len(its.rows.keys() - sessions)
        if (more or less) and not intersect:
            raise KdbError(
                f"runs {first!r} and {other!r} differ in their sessions of {domain!r}: "
                f"{more} are only in the first, {less} only in the second",
                "--intersect scores the common ones; with the session records too, missing ones fail",
            )
    common = [session for session in sessions if all(session in its.rows for _, its in others)]
    if not common:
        raise KdbError(f"the runs have no session of {domain!r} in common")
    return common


def check_same_truth(
    domain: str, sessions: Sequence[str], tables: Sequence[tuple[str, ScoreTable]], stream: ScoredStream
) -> None:
    """KdbError where two runs, or a run and the session records, differ in a session's items or true bundles."""
    expected = stream.expected.get(domain, {})
    (first, table), *others = tables
    for session in sessions:
        own = table.identity(session)
        asked = {f"run {name!r}": its.identity(session) for name, its in others}
        if session in expected:
            asked[SESSIONS] = expected[session].identity
        for name, identity in asked.items():
            if identity != own:
                raise KdbError(
                    f"session {session!r} of {domain!r} has other items or true bundles in run {first!r} than in "
                    f"{name}",
                    "predict the same session records with every run",
                )
