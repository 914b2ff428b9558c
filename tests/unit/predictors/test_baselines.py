"""The baselines: what they predict, that they read nothing but titles, and their figures on the public data."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.cluster.hierarchy import fcluster, linkage

from kdb.errors import KdbError, UsageError
from kdb.evaluation import definitions
from kdb.evaluation.matched_session import MatchedSession
from kdb.predictors import PREDICTORS
from kdb.predictors.baseline import Baseline, BaselineConfig
from kdb.predictors.baseline import build as build_baseline
from kdb.predictors.clusters import UNTUNED_THRESHOLD, Clusters
from kdb.records import Bundle, Item, Knowledge, Session
from kdb.retrieval.association_rules import MiningConfig, mine, transactions
from kdb.retrieval.knowledge_base import KnowledgeBase

pytestmark = pytest.mark.usefixtures("tiny_titles")

NAMES = list(PREDICTORS)


def build(
    name: str, known: list[Session], knowledge: list[Knowledge], utility: str = "f1", seed: int = 0
) -> Baseline:
    training = [session for session in known if session.split != "validation"]
    validation = [session for session in known if session.split == "validation"]
    return build_baseline(name, KnowledgeBase(training, validation, knowledge), BaselineConfig(utility, seed))


def found(predictor: Baseline, session: Session) -> list[list[str]]:
    return [bundle.items for bundle in predictor.bundles(session)]


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


def mean(predictor: Baseline, sessions: list[Session], field: str) -> float:
    scored = [
        MatchedSession(found(predictor, s), [bundle.items for bundle in s.truth or []], ids(s)) for s in sessions
    ]
    return float(np.mean([definitions("strict")[field].numerator(one) for one in scored]))


def test_trivial_ones(sessions: list[Session]) -> None:
    session = sessions[0]
    assert found(build("whole-session", [], []), session) == [ids(session)]
    pairs = found(build("all-pairs", [], []), session)
    assert len({frozenset(p) for p in pairs}) == len(ids(session)) * (len(ids(session)) - 1) // 2


@pytest.mark.parametrize("name", NAMES)
def test_only_ids_and_titles_are_read(
    name: str, sessions: list[Session], kb: list[Session], mined: list[Knowledge]
) -> None:
    """Neither categories nor bundles of the session to predict change anything, and it is the same each time."""
    predictor, again = build(name, kb, mined, seed=1), build(name, kb, mined, seed=1)
    some = [s for s in sessions if s.split == "test"]
    predicted = [found(predictor, s) for s in some]
    bare = [Session(id=s.id, domain=s.domain, items=[Item(i.id, i.title) for i in s.items]) for s in some]
    assert [found(again, s) for s in bare] == predicted
    assert any(predicted)
    for session, bundles in zip(some, predicted, strict=True):
        assert all(len(set(b)) == len(b) >= 2 and set(b) <= set(ids(session)) for b in bundles)


@pytest.mark.parametrize("name", NAMES)
def test_one_item_makes_no_bundle(name: str, kb: list[Session], mined: list[Knowledge]) -> None:
    lonely = Session(id="x", domain="kitchen", items=[Item("1", "a pan")])
    assert found(build(name, kb, mined), lonely) == []


def test_threshold_is_the_best_of_validation(kb: list[Session]) -> None:
    tuned = build("clusters", kb, [])
    assert isinstance(tuned, Clusters)
    validation = [s for s in kb if s.split == "validation"]
    best = mean(tuned, validation, "matched_f1")
    for threshold in (0.0, 0.3, 0.5, 0.7, 0.9, 1.1):
        tuned.threshold = threshold
        assert mean(tuned, validation, "matched_f1") <= best + 0.02  # the grid is of quantiles
    precise = build("clusters", kb, [], "precision")
    assert mean(precise, validation, "precision") >= mean(build("clusters", kb, []), validation, "precision")


@given(st.integers(2, 12), st.integers(1, 3), st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_clusters_are_those_of_scipy(items: int, digits: int, seed: int, at: int) -> None:
    """With ties among the distances, and thresholds at the height of a merge."""
    distances = np.round(np.random.default_rng(seed).random(items * (items - 1) // 2), digits)
    tree = linkage(distances, "average")
    threshold = float(tree[len(tree) * at // 3, 2])
    session = Session(id="x", domain="kitchen", items=[Item(str(n), "a pan") for n in range(items)])
    expected: dict[int, list[str]] = {}
    for item, label in zip(ids(session), fcluster(tree, threshold, "distance"), strict=True):
        expected.setdefault(int(label), []).append(item)
    clusters = Clusters(lambda _: distances, threshold)
    assert found(clusters, session) == [group for group in expected.values() if len(group) > 1]


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
    pairs = {frozenset(b) for b in found(build("pair-classifier", shop, []), test)}
    assert pairs == {frozenset("03"), frozenset("12")}


def test_patterns_group_what_was_mined() -> None:
    def path(name: str) -> list[list[str]]:
        return [["Shop", name]]

    titles = {"1": "digital camera", "2": "camera memory card", "3": "leather boots", "4": "cotton shirt"}
    names = {"1": "Cameras", "2": "Cards", "3": "Shoes", "4": "Shirts"}
    items = [Item(i, titles[i], path(names[i])) for i in titles]
    known = Session(id="s", domain="d", items=items, bundles=[Bundle(["1", "2"]), Bundle(["3", "4"])])
    pattern = Knowledge(
        id="p", format="pattern", domain="d", text="", antecedent=["Shop > Cameras"], consequent=["Shop > Cards"]
    )
    test = Session(id="t", domain="d", items=[Item(str(10 + n), t) for n, t in enumerate(titles.values())])
    predictor = build("pattern-matching", [known], [pattern])
    # One training item of each category: with five votes the nearest decides only if it is counted first.
    assert found(predictor, test) == [["10", "11"]]
    elsewhere = replace(test, domain="another")
    assert found(predictor, elsewhere) == []


@pytest.mark.parametrize("name", ["pattern-matching", "pair-classifier", "partition-crf"])
def test_what_is_missing_is_said(name: str, kb: list[Session]) -> None:
    with pytest.raises(UsageError, match="--kb"):
        build(name, [], [])
    if name == "pattern-matching":
        with pytest.raises(UsageError, match="no pattern in --kb"):
            build(name, kb, [])
    else:
        with pytest.raises(UsageError, match="no training session with a bundle"):
            build(name, [s for s in kb if s.split == "validation"], [])


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match="f1, precision"):
        build("clusters", [], [], "speed")
    with pytest.raises(UsageError, match="one of: whole-session"):
        build("no-such", [], [])


def test_clusters_without_annotations_say_the_threshold(
    sessions: list[Session], capsys: pytest.CaptureFixture[str]
) -> None:
    clusters = build("clusters", [], [])
    assert f"cosine distance of {UNTUNED_THRESHOLD}" in capsys.readouterr().err
    assert clusters.settings == {"threshold": UNTUNED_THRESHOLD}
    assert any(found(clusters, session) for session in sessions)


@pytest.mark.parametrize("name", ["pair-classifier", "partition-crf"])
def test_sessions_that_were_fitted_on_are_known(name: str, kb: list[Session]) -> None:
    """Their figures would be those of answers that the baseline has seen."""
    seen = build(name, kb, []).seen
    training = [s for s in kb if s.split == "train"]
    with pytest.raises(KdbError, match=f"{len(training)} of {len(training)} sessions stand in --kb too"):
        seen.overlap(training, refuse=True)
    assert seen.overlap([replace(training[0], id="another")], refuse=True) == {}


def test_sessions_that_chose_a_threshold_are_known(kb: list[Session]) -> None:
    validation = [s for s in kb if s.split == "validation"]
    assert build("clusters", kb, []).seen.overlap(validation, refuse=True) == {"tuned_on": len(validation)}


def test_a_category_known_through_no_bundle_of_the_session_is_not_read(kb: list[Session]) -> None:
    """In the public layout it comes of a bundle of another session, which may be a test session."""
    items = [Item("1", "Tea Pot", [["Home", "Pots"]]), Item("2", "Tea Cup", [["Home", "Cups"]])]
    stray = Item("3", "Camping Stove", [["Outdoor", "Stoves"]])
    known = Session(id="s", domain="d", items=[*items, stray], bundles=[Bundle(["1", "2"])])
    mined = Knowledge(
        id="p", format="pattern", domain="d", text="", antecedent=["Outdoor > Stoves"], consequent=["Home > Pots"]
    )
    test = Session(id="t", domain="d", items=[Item("x", "Camping Stove"), Item("y", "Tea Pot")])
    assert found(build("pattern-matching", [known], [mined]), test) == []


def test_each_bundle_of_the_partition_model_has_a_probability(
    sessions: list[Session], kb: list[Session], capsys: pytest.CaptureFixture[str]
) -> None:
    model = build("partition-crf", kb, [])
    large = Session(id="x", domain="kitchen", items=[Item(str(n), f"pan number {n // 2}") for n in range(70)])
    for session in [s for s in sessions if s.split == "test"] + [large]:
        bundles = model.bundles(session)
        assert bundles and all(0 < bundle.probability < 1 for bundle in bundles)
    assert all(int(item) < 60 for bundle in bundles for item in bundle.items)
    model.close()
    assert "10 items" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pair-classifier", "partition-crf"])
def test_all_pairs_of_training_share_a_bundle(name: str) -> None:
    items = [Item("1", "red kettle"), Item("2", "blue pot")]
    known = [
        Session(id=str(n), domain="d", split="train", items=items, bundles=[Bundle(["1", "2"])]) for n in (1, 2)
    ]
    assert found(build(name, known, []), Session(id="x", domain="d", items=items)) == [["1", "2"]]


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
    assert isinstance(clusters, Clusters)
    for threshold, precision, recall, f1 in ((0.65, 0.589, 0.608, 0.541), (0.8, 0.486, 0.539, 0.614)):
        clusters.threshold = threshold
        figures = [mean(clusters, test, field) for field in ("precision", "recall", "matched_f1")]
        assert figures == pytest.approx([precision, recall, f1], abs=0.001)
