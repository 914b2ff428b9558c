"""The baselines: what they predict, that they read nothing but titles, and their figures on the public data."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from kdb.errors import UsageError
from kdb.evaluation import definitions
from kdb.evaluation.matched_session import MatchedSession
from kdb.extraction.association_rules import MiningConfig, mine, transactions
from kdb.predictors import baselines
from kdb.predictors.baselines import NAMES, NEED_KB, build
from kdb.records import Bundle, Item, Knowledge, Session


@pytest.fixture(scope="module")
def sessions(samples: Path) -> list[Session]:
    every = [msgspec.json.decode(line, type=Session) for line in (samples / "sessions.jsonl").open("rb")]
    return [session for session in every if session.domain == "kitchen"]


@pytest.fixture(scope="module")
def kb(sessions: list[Session]) -> list[Session]:
    return [session for session in sessions if session.split != "test"]


@pytest.fixture(scope="module")
def mined(kb: list[Session]) -> list[Knowledge]:
    bundles = [t for session in kb for t in transactions(session, 3)]
    return mine("kitchen", bundles, MiningConfig(level=3, min_support=0.01, min_confidence=0.1, max_size=3))


def ids(session: Session) -> list[str]:
    return [item.id for item in session.items]


def mean(predictor: baselines.Baseline, sessions: list[Session], field: str) -> float:
    scored = [
        MatchedSession(predictor.bundles(s), [bundle.items for bundle in s.truth or []], ids(s)) for s in sessions
    ]
    return float(np.mean([definitions("strict")[field].numerator(one) for one in scored]))


def test_trivial_ones(sessions: list[Session]) -> None:
    session = sessions[0]
    assert build("whole-session", [], []).bundles(session) == [ids(session)]
    pairs = build("all-pairs", [], []).bundles(session)
    assert len({frozenset(p) for p in pairs}) == len(ids(session)) * (len(ids(session)) - 1) // 2


@pytest.mark.parametrize("name", NAMES)
def test_only_ids_and_titles_are_read(
    name: str, sessions: list[Session], kb: list[Session], mined: list[Knowledge]
) -> None:
    """Neither categories nor bundles of the session to predict change anything, and it is the same each time."""
    predictor, again = build(name, kb, mined, seed=1), build(name, kb, mined, seed=1)
    some = [s for s in sessions if s.split == "test"]
    predicted = [predictor.bundles(s) for s in some]
    bare = [Session(id=s.id, domain=s.domain, items=[Item(i.id, i.title) for i in s.items]) for s in some]
    assert [again.bundles(s) for s in bare] == predicted
    assert any(predicted)
    for session, bundles in zip(some, predicted, strict=True):
        assert all(len(set(b)) == len(b) >= 2 and set(b) <= set(ids(session)) for b in bundles)


@pytest.mark.parametrize("name", NAMES)
def test_one_item_makes_no_bundle(name: str, kb: list[Session], mined: list[Knowledge]) -> None:
    lonely = Session(id="x", domain="kitchen", items=[Item("1", "a pan")])
    assert build(name, kb, mined).bundles(lonely) == []


def test_threshold_is_the_best_of_validation(kb: list[Session]) -> None:
    tuned = build("clusters", kb, [])
    assert isinstance(tuned, baselines.Clusters)
    validation = [s for s in kb if s.split == "validation"]
    best = mean(tuned, validation, "matched_f1")
    for threshold in (0.0, 0.3, 0.5, 0.7, 0.9, 1.1):
        tuned.threshold = threshold
        assert mean(tuned, validation, "matched_f1") <= best + 0.02  # the grid is of quantiles
    precise = build("clusters", kb, [], "precision")
    assert mean(precise, validation, "precision") >= mean(build("clusters", kb, []), validation, "precision")


def test_without_validation_the_user_is_told(kb: list[Session], capsys: pytest.CaptureFixture[str]) -> None:
    build("clusters", [s for s in kb if s.split == "train"], [])
    assert "no validation session" in capsys.readouterr().err


def test_pair_classifier_learns_what_cosine_does_not_say() -> None:
    """Bundles of the pairs that are least alike: only a classifier can find them."""
    apart = ["steel chef's knife", "blue wool scarf"], ["oak cutting board", "winter gloves"]
    items = [Item(f"{n}", title) for n, title in enumerate([*apart[0], *apart[1]])]
    truth = [Bundle(["0", "3"]), Bundle(["1", "2"])]  # knife with gloves, scarf with board
    split = ["train"] * 30 + ["validation"] * 5
    shop = [
        Session(id=str(n), domain="d", split=part, items=items, bundles=truth)  # type: ignore[arg-type]
        for n, part in enumerate(split)
    ]
    test = replace(shop[0], id="new", split="test")
    found = {frozenset(b) for b in build("pair-classifier", shop, []).bundles(test)}
    assert found == {frozenset("03"), frozenset("12")}


def test_patterns_group_what_was_mined() -> None:
    def path(name: str) -> list[list[str]]:
        return [["Shop", name]]

    titles = {"1": "digital camera", "2": "camera memory card", "3": "leather boots", "4": "cotton shirt"}
    names = {"1": "Cameras", "2": "Cards", "3": "Shoes", "4": "Shirts"}
    known = Session(id="s", domain="d", items=[Item(i, titles[i], path(names[i])) for i in titles], bundles=[])
    pattern = Knowledge(
        id="p", format="pattern", domain="d", text="", antecedent=["Shop > Cameras"], consequent=["Shop > Cards"]
    )
    test = Session(id="t", domain="d", items=[Item(str(10 + n), t) for n, t in enumerate(titles.values())])
    predictor = build("pattern-matching", [known], [pattern])
    # One training item of each category: with five votes the nearest decides only if it is counted first.
    assert predictor.bundles(test) == [["10", "11"]]
    elsewhere = replace(test, domain="another")
    assert predictor.bundles(elsewhere) == []


@pytest.mark.parametrize("name", sorted(NEED_KB))
def test_what_is_missing_is_said(name: str, kb: list[Session]) -> None:
    with pytest.raises(UsageError, match="--kb"):
        build(name, [], [])
    if name == "pattern-matching":
        with pytest.raises(UsageError, match="no pattern in --kb"):
            build(name, kb, [])
    with pytest.raises(UsageError, match="no objective 'speed'"):
        build(name, kb, [], "speed")
    with pytest.raises(UsageError, match="one of: whole-session"):
        build("no-such", kb, [])


@pytest.mark.parametrize("old, new", [("patterns", "pattern-matching"), ("posterior", "partition-crf")])
def test_a_name_of_version_1_is_refused_with_its_new_name(old: str, new: str, kb: list[Session]) -> None:
    with pytest.raises(UsageError, match=f"it is called '{new}' now"):
        build(old, kb, [])


def test_figures_on_electronic(kdb, electronic: Path) -> None:
    """At the two fixed thresholds, figures that other code had found before this was written."""
    extra, split = electronic / "item_titles_extra.csv", electronic / "split.json"
    imported = kdb("import", electronic, "--titles", extra, "--split-file", split)
    every = [msgspec.convert(record, Session) for record in imported.records]
    test = [s for s in every if s.split == "test"]
    clusters = build("clusters", [s for s in every if s.split != "test"], [])
    assert mean(clusters, test, "matched_f1") == pytest.approx(0.617, abs=0.001)
    assert isinstance(clusters, baselines.Clusters)
    for threshold, precision, recall, f1 in ((0.65, 0.589, 0.608, 0.541), (0.8, 0.486, 0.539, 0.614)):
        clusters.threshold = threshold
        found = [mean(clusters, test, field) for field in ("precision", "recall", "matched_f1")]
        assert found == pytest.approx([precision, recall, f1], abs=0.001)
