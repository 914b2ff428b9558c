"""`kdb extract pattern`: what is mined, what is told and what is left alone."""

import json

import msgspec

from kdb.records import Bundle, Item, Session
from kdb.retrieval.association_rules import MiningConfig, mine, transactions

CAMERA, CARD = ["Shop", "Photo", "Cameras"], ["Shop", "Photo", "Cards"]
CASE, TRIPOD = ["Shop", "Bags", "Cases"], ["Shop", "Photo", "Tripods"]
ALL = MiningConfig(level=3, min_support=0.0, min_confidence=0.0, max_size=3)


def session(number: int, bundles: list[list[list[str]]], domain: str = "shop", **fields: object) -> Session:
    """A session whose bundles are given as the category paths of their products."""
    items, truth = [], []
    for n, paths in enumerate(bundles):
        ids = [f"{number}-{n}-{k}" for k in range(len(paths))]
        items += [Item(i, f"product {i}", [path]) for i, path in zip(ids, paths, strict=True)]
        truth.append(Bundle(ids, "an intent"))
    return Session(id=str(number), domain=domain, items=items, bundles=truth, **fields)


def stream(sessions: list[Session]) -> str:
    return "".join(msgspec.json.encode(s).decode() + "\n" for s in sessions)


def shop() -> list[Session]:
    """Ten bundles: a camera in five, a card with it in four, a tripod too in two; two cases in three."""
    with_card = [session(n, [[CAMERA, CARD, *([TRIPOD] if n < 2 else [])]]) for n in range(4)]
    cases = [session(n, [[CASE, CASE]]) for n in range(4, 7)]
    others = [session(7, [[CAMERA, CASE]]), session(8, [[CARD, CASE]]), session(9, [[CASE, ["Other"]]])]
    return with_card + cases + others


def mined(sessions: list[Session], mining: MiningConfig = ALL) -> dict[str, dict]:
    bundles = [t for s in sessions for t in transactions(s, mining.level)]
    return {k.text: msgspec.to_builtins(k) for k in mine("shop", bundles, mining)}


def test_support_confidence_and_lift_are_those_of_the_definitions() -> None:
    found = mined(shop())['Bundles with "Cameras" also hold "Cards": 4 of 5 (80 %).']
    assert (found["support"], found["confidence"], found["lift"], found["count"]) == (0.4, 0.8, 1.6, 4)
    assert found["antecedent"] == ["Shop > Photo > Cameras"]
    assert found["consequent"] == ["Shop > Photo > Cards"]
    assert found["from"] == {"sessions": ["0", "1", "2", "3"]}


def test_two_products_of_one_category_are_a_pattern() -> None:
    found = mined(shop())['Bundles with "Cases" also hold another of "Cases": 3 of 6 (50 %).']
    assert found["antecedent"] == found["consequent"] == ["Shop > Bags > Cases"]
    assert found["from"]["sessions"] == ["4", "5", "6"]


def test_nothing_is_concluded_from_a_second_product_to_the_first() -> None:
    assert not [text for text in mined(shop()) if text.startswith('Bundles with 2 of "Cases" also hold "Cases"')]
    assert not [text for text in mined(shop()) if '"Cases"' in text and "(100 %)" in text]


def test_what_one_bundle_shows_and_what_chance_explains_are_left_out() -> None:
    texts = mined(shop())
    assert not [text for text in texts if '"Other"' in text]
    assert not [text for text in texts if '"Cameras"' in text and '"Cases"' in text]


def test_a_threshold_that_is_met_exactly_counts() -> None:
    sessions = [session(n, [[CAMERA, CARD if n < 5 else CASE]]) for n in range(25)]
    assert mined([*sessions, session(30, [[CASE, ["Other"]]])], MiningConfig(3, 0.0, 0.2, 2)).keys() >= {
        'Bundles with "Cameras" also hold "Cards": 5 of 25 (20 %).'
    }


def test_a_share_of_bundles_that_is_met_exactly_counts() -> None:
    """0.07 * 100 is a little more than 7 in floating point."""
    sessions = [session(n, [[CAMERA, CARD if n < 7 else CASE] if n < 20 else [TRIPOD, CASE]]) for n in range(100)]
    text = 'Bundles with "Cameras" also hold "Cards": 7 of 20 (35 %).'
    assert text in mined(sessions, MiningConfig(3, 0.07, 0.2, 2))
    assert text not in mined(sessions, MiningConfig(3, 0.0701, 0.2, 2))


def test_thresholds_and_size_only_take_away() -> None:
    everything = mined(shop())
    for mining in (MiningConfig(3, 0.35, 0.0, 3), MiningConfig(3, 0.0, 0.6, 3), MiningConfig(3, 0.0, 0.0, 2)):
        fewer = mined(shop(), mining)
        assert fewer.items() < everything.items()


def test_the_order_is_confidence_then_support_then_text() -> None:
    found = list(mined(shop()).values())
    assert found == sorted(found, key=lambda k: (-k["confidence"], -k["support"], k["text"]))
    assert len(found) > 3


def test_names_that_two_categories_share_are_told_apart() -> None:
    women, men = ["Women", "Shirts"], ["Men", "Shirts"]
    sessions = [session(n, [[women, men]]) for n in range(3)] + [session(9, [[CAMERA, CARD]])]
    assert 'Bundles with "Men › Shirts" also hold "Women › Shirts": 3 of 3 (100 %).' in mined(sessions)


def test_the_deepest_path_makes_the_category() -> None:
    item = Item("1", "lens", [["Sale"], ["Photo", "Lenses", "Zoom"], ["Photo", "New", "Zoom"]])
    assert item.category_path(2) == ("Photo", "Lenses")
    assert item.category_path(9) == ("Photo", "Lenses", "Zoom")
    assert Item("2", "thing").category_path(2) is None


def test_an_unmined_stream_passes_byte_for_byte_and_patterns_follow(kdb) -> None:
    odd = '{"kind": "note",  "x":1}\n'
    validation = stream([session(50, [[CAMERA, CASE]] * 9, split="validation")])
    bare = '{"kind":"session","id":"b","domain":"shop","items":[{"id":"1","title":"a"}],"mine":true}\n'
    given = odd + stream(shop()) + validation + bare
    done = kdb("extract", "pattern", "--level", "3", stdin=given)
    assert done.code == 0
    assert done.stdout.startswith(given)
    patterns = done.records[given.count("\n") :]
    assert {p["text"]: p for p in patterns} == mined(shop(), MiningConfig(3, 0.005, 0.2, 3))
    assert f"shop: {len(patterns)} patterns from 10 bundles" in done.stderr
    assert done.out == kdb("extract", "pattern", "--level", "3", stdin=given).out


def test_domains_are_mined_apart(kdb) -> None:
    mixed = [*shop(), *(session(n, [[CAMERA, CASE]], domain="other") for n in range(100, 104))]
    done = kdb("extract", "pattern", "--level", "3", stdin=stream(mixed))
    patterns = [r for r in done.records if r["kind"] == "knowledge"]
    assert {p["text"] for p in patterns if p["domain"] == "shop"} == mined(
        shop(), MiningConfig(3, 0.005, 0.2, 3)
    ).keys()


def test_a_test_session_is_refused_unless_asked_for(kdb) -> None:
    given = stream([*shop(), session(60, [[CAMERA, CARD]], split="test")])
    refused = kdb("extract", "pattern", stdin=given)
    assert refused.code == 1
    assert "stdin:11: session '60' is of the test split" in refused.stderr
    assert "--allow-test" in refused.stderr
    assert kdb("extract", "pattern", "--allow-test", "--quiet", stdin=given).code == 0


def test_no_patterns_is_no_error(kdb) -> None:
    lone = stream([session(1, [[CAMERA, CARD]])])
    done = kdb("extract", "pattern", stdin=lone)
    assert (done.code, done.stdout) == (0, lone)
    assert "0 patterns from 1 bundles" in done.stderr


def test_the_defaults_give_a_useful_number_on_electronic(kdb, electronic) -> None:
    options = ["--titles", electronic / "item_titles_extra.csv", "--split-file", electronic / "split.json"]
    sessions = kdb("import", electronic, *options, "--split", "train", "--empty", "drop")
    patterns = [r for r in kdb("extract", "pattern", stdin=sessions.out).records if r["kind"] == "knowledge"]
    assert len(patterns) == 261
    assert len({p["id"] for p in patterns}) == 261
    known = {json.loads(line)["id"] for line in sessions.stdout.splitlines()}
    assert all(set(p["from"]["sessions"]) <= known and len(p["text"]) < 250 for p in patterns)
