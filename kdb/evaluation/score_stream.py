"""Reads a stream of predictions into a table of scores for each run and domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec import UnsetType

from kdb import console
from kdb.errors import KdbError
from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.definition import Count
from kdb.evaluation.score_table import ScoreTable, columns
from kdb.io.stream import Line, Rejects
from kdb.records import End, ImportInfo, Prediction, Run, Session, SessionScore

SESSIONS = "the session records"


@dataclass
class ExpectedSession:
    """A session that is to be scored: its row where a run has no prediction for it, and the hash of its truth."""

    row: list[float]
    identity: int


@dataclass
class ScoredStream:
    """What was read: runs by id, tables by run and domain, and the sessions that are to be scored by domain.

    `ends` are the numbers of predictions that closing records state by domain, `policies` the ways in which
    sessions were imported, by who says so (a run's id, or `SESSIONS`) and domain.
    """

    columns: tuple[Count, ...] = field(default_factory=columns)
    runs: dict[str, Run] = field(default_factory=dict)
    tables: dict[str, dict[str, ScoreTable]] = field(default_factory=dict)
    expected: dict[str, dict[str, ExpectedSession]] = field(default_factory=dict)
    ends: dict[str, Counter[str]] = field(default_factory=dict)
    policies: dict[tuple[str, str], list[ImportInfo]] = field(default_factory=dict)
    intents: list[tuple[ScoreTable, str, str, str]] = field(default_factory=list)

    def of(self, domain: str) -> dict[str, ScoreTable]:
        """The tables of one domain, of the runs that have any."""
        return {run: domains[domain] for run, domains in self.tables.items() if domain in domains}

    def imported(self, domain: str) -> list[ImportInfo]:
        """The ways in which the sessions of a domain were imported."""
        found = (ways for (_, its), ways in self.policies.items() if its == domain)
        return list(dict.fromkeys(way for ways in found for way in ways))

    def read(
        self, lines: Iterable[Line], rejects: Rejects, per_session: bool = False, intents: bool = False
    ) -> Iterator[SessionScore]:
        """Score the predictions of a stream; gives a record a session if asked to.

        An annotated session in the stream that a run has no prediction for, though it has some for the
        domain, counts as failed. KdbError where a prediction has no truth, stands twice, or there is none.
        """
        for line in lines:
            record = line.record
            if isinstance(record, Run):
                self.runs[record.id] = record
            elif isinstance(record, End):
                # Partitions of one run, joined to one stream, each have an end.
                self.ends.setdefault(record.run, Counter()).update(record.sessions)
            elif isinstance(record, Session) and record.truth is not None:
                self._note_policy(SESSIONS, record)
                self._expect(record)
            elif isinstance(record, Prediction):
                self._note_policy(record.run, record)
                problem, matched = self._add(record, intents)
                if not matched:
                    rejects.add(line.place, problem, line.text)
                elif per_session:
                    yield self._session_score(record, matched)
        if not self.tables:
            raise KdbError("no prediction in the input", "kdb import DATA | kdb infer ... | kdb eval")
        yield from self._add_missing(per_session)

    def _note_policy(self, source: str, record: Session | Prediction) -> None:
        ways = self.policies.setdefault((source, record.domain), [])
        if not isinstance(record.imported, UnsetType) and record.imported not in ways:
            ways.append(record.imported)

    def _expect(self, session: Session) -> None:
        missing = MatchedSession.missing(session)
        row = [count(missing) for count in self.columns]
        self.expected.setdefault(session.domain, {})[session.id] = ExpectedSession(row, missing.identity)

    def _add(self, prediction: Prediction, intents: bool) -> tuple[str, MatchedSession | None]:
        """Take in a prediction; or say what is wrong with it."""
        name = f"session {prediction.id!r} of {prediction.domain!r}"
        if prediction.truth is None:
            return f"{name} has no truth to score against; predict sessions that have bundles", None
        table = self.tables.setdefault(prediction.run, {}).setdefault(prediction.domain, ScoreTable(self.columns))
        if prediction.id in table.rows:
            return f"{name} stands twice in run {prediction.run!r}", None
        matched = MatchedSession.of(prediction)
        table.add(prediction.id, matched)
        if intents:
            self.intents.extend((table, prediction.id, own, true) for own, true in matched.intent_pairs)
        return "", matched

    def _add_missing(self, per_session: bool) -> Iterator[SessionScore]:
        for run, domains in self.tables.items():
            for domain, table in domains.items():
                expected = self.expected.get(domain, {})
                missing = [session for session in expected if session not in table.rows]
                for session in missing:
                    table.add_row(session, expected[session].row, expected[session].identity)
                    if per_session:
                        sums = dict(zip(table.names, expected[session].row, strict=True))
                        yield SessionScore(
                            run=run, id=session, domain=domain, status="missing", sums=sums, matches=[]
                        )
                if missing:
                    console.warn(f"run {run}: no prediction for {len(missing)} sessions of {domain!r}: failures")

    def _session_score(self, prediction: Prediction, matched: MatchedSession) -> SessionScore:
        """The record that lets the score of one session be traced."""
        return SessionScore(
            run=prediction.run,
            id=prediction.id,
            domain=prediction.domain,
            status=prediction.status,
            sums={count.__name__: float(count(matched)) for count in self.columns},
            matches=matched.matches,
        )

    def add_intent_similarity(self) -> None:
        """Cosine between predicted and true intents of matched bundles; loads the embedder where needed."""
        from kdb.retrieval.embedder import open_embedder

        texts = list(dict.fromkeys(text for _, _, *pair in self.intents for text in pair))
        vectors = dict(zip(texts, open_embedder().encode(texts), strict=True))
        for table, session, own, true in self.intents:
            table.increase(session, "intent_similarity", float(vectors[own] @ vectors[true]))
            table.increase(session, "intents", 1.0)
