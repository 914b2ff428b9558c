"""Reads a stream of predictions into the scores of each run on each domain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec import UnsetType

from kdb import console
from kdb.errors import KdbError
from kdb.evaluation.matches import intent_pairs, matches
from kdb.evaluation.metrics import SessionSums, score
from kdb.evaluation.score_table import AnswerStats, ScoreTable, outcome
from kdb.records import ImportInfo, Prediction, Run, Session, SessionScore
from kdb.stream import Line, Rejects

KINDS = ("session", "prediction", "run")


@dataclass
class ScoredRuns:
    """What was read: runs by id, scores by run and domain, the sessions to be scored, how they were imported."""

    runs: dict[str, Run] = field(default_factory=dict)
    scores: dict[str, dict[str, ScoreTable]] = field(default_factory=dict)
    expected: dict[str, dict[str, tuple[SessionSums, AnswerStats]]] = field(default_factory=dict)
    intents: list[tuple[ScoreTable, str, str, str]] = field(default_factory=list)
    imported: dict[str, list[ImportInfo]] = field(default_factory=dict)

    def of(self, domain: str) -> dict[str, ScoreTable]:
        """The scores on one domain, of the runs that have any."""
        return {key: domains[domain] for key, domains in self.scores.items() if domain in domains}

    def read(
        self, lines: Iterable[Line], rejects: Rejects, per_session: bool = False, intents: bool = False
    ) -> Iterator[SessionScore]:
        """Score the predictions of a stream; gives a record a session if asked to.

        An annotated session in the stream that a run has no prediction for, though it has some for the
        domain, counts as failed. KdbError where a prediction has no truth, stands twice, or there is none.
        """
        for line in lines:
            record = line.record
            if isinstance(record, Session | Prediction):
                self._note_import(record)
            if isinstance(record, Run):
                self.runs[record.id] = record
            elif isinstance(record, Session) and record.truth is not None:
                truth = [bundle.items for bundle in record.truth]
                nothing = score([], truth, (), failed=True)
                sessions = self.expected.setdefault(record.domain, {})
                sessions[record.id] = nothing, AnswerStats(length=len(record.items))
            elif isinstance(record, Prediction):
                if problem := self._add(record, intents):
                    rejects.add(line.place, problem, line.text)
                elif per_session:
                    yield session_score(record)
        if not self.scores:
            raise KdbError("no prediction in the input", "kdb import DATA | kdb infer ... | kdb eval")
        yield from self._add_missing(per_session)

    def _note_import(self, record: Session | Prediction) -> None:
        ways = self.imported.setdefault(record.domain, [])
        if not isinstance(record.imported, UnsetType) and record.imported not in ways:
            ways.append(record.imported)

    def _add(self, prediction: Prediction, intents: bool) -> str:
        """Take in a prediction; says what is wrong with it, if anything."""
        name = f"session {prediction.id!r} of {prediction.domain!r}"
        if prediction.truth is None:
            return f"{name} has no truth to score against; predict sessions that have bundles"
        scores = self.scores.setdefault(prediction.run, {}).setdefault(prediction.domain, ScoreTable())
        if prediction.id in scores.rows:
            return f"{name} stands twice in run {prediction.run!r}"
        scores.add(prediction.id, scored(prediction), outcome(prediction))
        if intents:
            pairs = intent_pairs(prediction)
            self.intents.extend((scores, prediction.id, said, true) for said, true in pairs)
        return ""

    def _add_missing(self, per_session: bool) -> Iterator[SessionScore]:
        for run, domains in self.scores.items():
            for domain, scores in domains.items():
                expected = self.expected.get(domain, {})
                missing = [session for session in expected if session not in scores.rows]
                for session in missing:
                    nothing, how = expected[session]
                    scores.add(session, nothing, how)
                    if per_session:
                        yield SessionScore(
                            run=run,
                            id=session,
                            domain=domain,
                            status="missing",
                            sums=nothing._asdict(),
                            matches=[],
                        )
                if missing:
                    console.warn(f"run {run}: no prediction for {len(missing)} sessions of {domain!r}: failures")

    def add_intent_similarity(self) -> None:
        """Cosine between predicted and true intents of matched bundles; loads the embedder where needed."""
        from kdb.retrieval.embedder import Embedder

        texts = list(dict.fromkeys(text for _, _, *pair in self.intents for text in pair))
        vectors = dict(zip(texts, Embedder().encode(texts), strict=True))
        for scores, session, said, true in self.intents:
            scores.increase(session, "intent_similarity", float(vectors[said] @ vectors[true]))
            scores.increase(session, "intents", 1.0)


def scored(prediction: Prediction) -> SessionSums:
    """The score of one prediction with a truth; a failed one has no bundles, whatever it says."""
    failed = prediction.status == "failed"
    predicted = [] if failed else [bundle.items for bundle in prediction.bundles]
    truth = [bundle.items for bundle in prediction.truth or []]
    return score(predicted, truth, prediction.items, failed)


def session_score(prediction: Prediction) -> SessionScore:
    """The record that lets the score of one session be traced."""
    return SessionScore(
        run=prediction.run,
        id=prediction.id,
        domain=prediction.domain,
        status=prediction.status,
        sums={name: float(value) for name, value in scored(prediction)._asdict().items()},
        matches=matches(prediction),
    )
