"""Which corrections stand in demonstrations: of training sessions, with an error, that fit."""

import msgspec
import pytest
from support.shop import session

from kdb.errors import UsageError
from kdb.io.stream import Line
from kdb.records import Bundle, Knowledge, Session, Source
from kdb.retrieval import context
from kdb.retrieval.config import ContextConfig
from kdb.retrieval.knowledge_base import KnowledgeBase

SESSIONS = [session(n) for n in range(4)]


def correction(about: Session, *bundles: Bundle, name: str = "c", **more: object) -> Knowledge:
    return Knowledge(
        id=f"{name}{about.id}",
        format="correction",
        domain=about.domain,
        text="- [1, 3]: invalid",
        source=Source([about.id]),
        bundles=list(bundles),
        **more,
    )


def wrong(about: Session, name: str = "c") -> Knowledge:
    return correction(about, Bundle([about.items[0].id, about.items[2].id]), name=name)


def right(about: Session) -> Knowledge:
    return correction(about, Bundle([about.items[1].id, about.items[0].id], "in other words"))


def base(*knowledge: Knowledge, others: tuple[Session, ...] = ()) -> KnowledgeBase:
    records = [*SESSIONS, *others, *knowledge]
    return KnowledgeBase.read(
        [Line(msgspec.json.encode(r).decode(), "record", r, "kb", n) for n, r in enumerate(records)]
    )


def test_a_correction_shows_where_the_attempt_was_wrong() -> None:
    stranger, apart = session(9), session(8, "validation")
    unbundled = msgspec.structs.replace(wrong(SESSIONS[3]), bundles=msgspec.UNSET)
    misfit = correction(SESSIONS[2], Bundle(["somewhere", "else"]))
    found = base(
        wrong(SESSIONS[0]), right(SESSIONS[1]), misfit, unbundled, wrong(stranger), wrong(apart), others=(apart,)
    )
    assert [(key, piece.id) for key, piece in found.corrections().items()] == [(SESSIONS[0].key, "c0")]


def test_nothing_is_an_attempt_too_and_of_several_the_first_is_shown() -> None:
    found = base(
        correction(SESSIONS[0]), wrong(SESSIONS[0], "later"), wrong(SESSIONS[1], "x"), wrong(SESSIONS[1], "y")
    )
    assert [piece.id for piece in found.corrections().values()] == ["c0", "x1"]


def test_demonstrations_hold_corrections_only_where_they_are_asked_for() -> None:
    known = base(wrong(SESSIONS[0]), wrong(SESSIONS[1]))
    for corrections, expected in ((True, {"c0", "c1"}), (False, set())):
        config = ContextConfig(demos=4, knowledge=2, corrections=corrections)
        (shown,) = context.retrieve_context(known, config, [session(7, "test")])
        assert {piece.id for piece in shown.pieces} == expected
        assert [demo.thought for demo in shown.demos] == [None] * 4
    (own,) = context.retrieve_context(known, ContextConfig(demos=4, corrections=True), [SESSIONS[0]])
    assert [piece.id for piece in own.pieces] == ["c1"]  # what corrects its own bundles would tell them


@pytest.mark.parametrize(
    ("knowledge", "demos", "message"),
    [
        ([wrong(SESSIONS[0])], 0, "corrections stand in demonstrations, and there are none (pass --demos)"),
        ([], 1, "no training session has a correction to show (kdb extract correction)"),
        ([right(SESSIONS[0])], 1, "no training session has a correction to show (kdb extract correction)"),
    ],
)
def test_without_anything_to_show_it_is_refused(knowledge: list, demos: int, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        context.build(base(*knowledge), ContextConfig(demos=demos, corrections=True))
    assert str(refused.value) == message
