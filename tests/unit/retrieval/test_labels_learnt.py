"""Labels in a knowledge base: which of them stand for annotations, and what is said of the others."""

import msgspec
import numpy as np
import pytest

from kdb.errors import KdbError
from kdb.io.stream import Line
from kdb.records import Bundle, Item, Knowledge, Record, Session, Source
from kdb.retrieval import labels
from kdb.retrieval.config import ContextConfig
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student.pairwise import stack


def session(name: str, *groups: str, split: str | None = "train") -> Session:
    found = Session(id=name, domain="d", split=split, items=[Item(i, f"thing {i}") for i in "abcd"])
    return msgspec.structs.replace(found, bundles=bundles(*groups)) if groups else found


def bundles(*groups: str) -> list[Bundle]:
    return [Bundle(list(own), "for fun") for own in groups]


def label(name: str, confidence: float | None, *groups: str, teacher: str = "t") -> Knowledge:
    made = Knowledge(id=f"{name}{confidence}{groups}", format="label", domain="d", text="", teacher=teacher)
    made.source, made.bundles = Source(sessions=[name]), bundles(*groups)
    if confidence is not None:
        made.confidence, made.pair_shares = confidence, [("a", "b", confidence), ("c", "d", 0.25)]
    return made


def read(records: list[Record], **context: object) -> KnowledgeBase:
    lines = [
        Line(msgspec.json.encode(record).decode(), "record", record, "kb.jsonl", n)
        for n, record in enumerate(records, 1)
    ]
    return KnowledgeBase.read(lines, ContextConfig(**context))


SESSIONS = [session("1", "abc"), *(session(n) for n in "2345"), session("v", "ab", split="validation")]
LABELS = [label("1", 1.0, "cd"), label("2", 0.4, "ab"), label("2", 0.9, "cd"), label("3", 0.2, "ab")]
LABELS += [label("4", None, "bd")]


def test_sessions_without_annotations_learn_from_their_surest_label() -> None:
    base = read([*SESSIONS, *LABELS], min_confidence=0.3)
    assert [(s.id, [b.items for b in s.truth or []]) for s in base.training] == [
        ("1", [["a", "b", "c"]]),
        ("2", [["c", "d"]]),
        ("4", [["b", "d"]]),
    ]
    assert [labels.weight_of(s, base.labels) for s in base.training] == [1, 0.9, 1]
    assert [s.id for s in base.validation] == ["v"]
    assert (base.summary.sessions, base.summary.labelled) == (1, 2)
    assert labels.by_teacher(base.labels.values()) == {"t": {"sessions": 2, "mean_confidence": 0.9}}


def test_shares_are_soft_targets() -> None:
    base = read([*SESSIONS, *LABELS], min_confidence=0.3)
    taught = stack.pair_targets(base.training, base.labels)
    soft = np.zeros((4, 4))
    soft[0, 1] = soft[1, 0] = 0.9
    soft[2, 3] = soft[3, 2] = 0.25
    assert np.allclose(taught.targets[1], soft)
    assert taught.targets[0][0].tolist() == [0, 1, 1, 0]
    assert taught.targets[2][1].tolist() == [0, 0, 0, 1]  # one answer alone: its bundles
    assert taught.weights == [1, 0.9, 1]


def test_what_cannot_be_learnt_is_counted_by_reason(capsys: pytest.CaptureFixture[str]) -> None:
    odd = [label("2", 0.5, "ax"), label("3", 0.5, "aa"), label("4", 0.5, "a"), label("5", 0.0, "ab")]
    odd += [label("9", 0.5, "ab"), label("2", 0.1, "ab")]
    assert not read([*SESSIONS, *LABELS[:1], *odd], min_confidence=0.3).labels
    said = capsys.readouterr().err
    for reason in (
        "1 with an unknown product",
        "1 with a repeated product",
        "1 with a bundle of one product",
        "1 without any agreement",
        "1 of annotated sessions",
        "1 of sessions that are not in the input",
        "1 with a confidence below 0.3",
    ):
        assert reason in " ".join(said.split())


def test_labels_are_one_format_among_others() -> None:
    records = [*SESSIONS, *LABELS, msgspec.structs.replace(LABELS[0], id="p", format="pattern")]
    assert read(records, formats=["pattern"]).labels == {}
    assert len(read(records, formats=["pattern", "label"]).labels) == 3


@pytest.mark.parametrize("annotated", [True, False])
def test_a_label_of_a_validation_session_is_refused(annotated: bool) -> None:
    held_out = session("v", *(["ab"] if annotated else []), split="validation")
    with pytest.raises(KdbError, match=r"kb\.jsonl:1: a label of the validation session 'v'"):
        read([label("v", 0.9, "ab"), SESSIONS[0], held_out])


def test_few_weights_are_fitted_to_annotations_where_they_are_enough() -> None:
    sessions = [session(str(n), "ab") for n in range(labels.MIN_ANNOTATED + 1)]
    taught = {sessions[-1].key: label("x", 0.5, "ab")}
    assert labels.trusted(sessions, taught) == list(range(labels.MIN_ANNOTATED))
    assert len(labels.trusted(sessions[1:], taught)) == labels.MIN_ANNOTATED
