"""Everything that records say of one session: its items, what each run made of it, and what that run was shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kdb.errors import KdbError
from kdb.evaluation import definitions
from kdb.evaluation.labels import label
from kdb.evaluation.matched_session import MatchedSession
from kdb.io.stream import Line
from kdb.records import Item, Knowledge, Match, Prediction, Run, Session

KINDS = ("prediction", "run", "session", "knowledge")


@dataclass
class RunView:
    """What one run predicted; `name` is what the run is called, `scores` are None for a session without truth."""

    name: str
    prediction: Prediction
    matches: list[Match]
    scores: dict[str, float | None] | None
    demos: dict[str, Session | None] = field(default_factory=dict)
    knowledge: dict[str, Knowledge | None] = field(default_factory=dict)


@dataclass
class SessionView:
    """The session (None where no record of it was given) and what each run predicted, in their order."""

    id: str
    domain: str
    session: Session | None
    runs: list[RunView]

    @property
    def items(self) -> list[Item]:
        """The items; without titles where only predictions are known."""
        if self.session:
            return self.session.items
        return [Item(id=item, title="") for item in self.runs[0].prediction.items]


def run(identity: str, domain: str, predictions: Iterable[Line], beside: Iterable[Line]) -> SessionView:
    """The view of a session; `beside` are lines with session and knowledge records to look up.

    KdbError where no run predicts the session, or several domains have one of that name and none is given.
    """
    runs: dict[str, Run] = {}
    found: list[Prediction] = []
    sessions: dict[tuple[str, str], Session] = {}
    for line in predictions:
        record = line.record
        if isinstance(record, Run):
            runs[record.id] = record
        elif isinstance(record, Prediction) and record.id == identity and domain in ("", record.domain):
            found.append(record)
        elif isinstance(record, Session):
            sessions[record.domain, record.id] = record
    if not found:
        raise KdbError(f"there is no prediction for session {identity!r}{f' of {domain!r}' if domain else ''}")
    domains = list(dict.fromkeys(prediction.domain for prediction in found))
    if len(domains) > 1:
        raise KdbError(f"session {identity!r} is one of several domains", f"--domain {' or '.join(domains)}")
    knowledge = _look_up(found, beside, sessions)
    views = [_run_view(prediction, runs, sessions, knowledge) for prediction in found]
    return SessionView(identity, domains[0], sessions.get((domains[0], identity)), views)


def _look_up(
    predictions: Sequence[Prediction], beside: Iterable[Line], sessions: dict[tuple[str, str], Session]
) -> dict[str, Knowledge]:
    """Add the sessions that matter to `sessions`; the knowledge that matters by id."""
    wanted = {p.id for p in predictions} | {demo for p in predictions for demo in p.demos}
    pieces = {piece for p in predictions for piece in p.knowledge}
    knowledge = {}
    for line in beside:
        record = line.record
        if isinstance(record, Session) and record.id in wanted:
            sessions[record.domain, record.id] = record
        elif isinstance(record, Knowledge) and record.id in pieces:
            knowledge[record.id] = record
    return knowledge


def _run_view(
    prediction: Prediction,
    runs: dict[str, Run],
    sessions: dict[tuple[str, str], Session],
    knowledge: dict[str, Knowledge],
) -> RunView:
    known = runs.get(prediction.run)
    matched = MatchedSession.of(prediction)
    return RunView(
        name=(label(known.settings) if known else "") or "unnamed",
        prediction=prediction,
        matches=matched.matches,
        scores=_scores(matched) if prediction.truth is not None else None,
        demos={demo: _demo(demo, prediction.domain, sessions) for demo in prediction.demos},
        knowledge={piece: knowledge.get(piece) for piece in prediction.knowledge},
    )


def _scores(matched: MatchedSession) -> dict[str, float | None]:
    """The quality of one session; None where undefined."""
    found = {name: metric for name, metric in definitions("strict").items() if metric.group == "quality"}
    sums = {name: (metric.numerator(matched), metric.denominator(matched)) for name, metric in found.items()}
    return {name: own / count if count else None for name, (own, count) in sums.items()}


def _demo(identity: str, domain: str, sessions: dict[tuple[str, str], Session]) -> Session | None:
    """The session of this name, of the same domain if there is one: a prediction names no domain with it."""
    same_name = [session for (_, name), session in sessions.items() if name == identity]
    return sessions.get((domain, identity)) or next(iter(same_name), None)
