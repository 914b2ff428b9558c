"""`kdb eval`: which runs it compares, by which families and references, and how it says so."""

from pathlib import Path

import pytest
from support.predictions import (
    GOOD,
    HALF,
    WRONG,
    comparisons,
    lines,
    of_kind,
    prediction,
    run,
    student,
    table,
)


def test_table_is_sorted_fits_80_columns_and_ends_in_a_sentence(kdb, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    runs = [run("c", baseline="clusters"), student("s", name="a student with quite a long name, tuned on all data")]
    some = [prediction(n, GOOD if n % 4 else HALF, "c") for n in range(8)]
    some += [prediction(n, GOOD if n % 2 else HALF, "s") for n in range(8)]
    shown = table(kdb, stdin=lines(*runs, *some))
    assert shown[0] == "shop, 8 sessions, 95 % intervals; difference to clusters"
    assert max(map(len, shown)) <= 80
    first = next(n for n, line in enumerate(shown) if line.strip().startswith("clusters"))
    assert "0.917" in shown[first] and "reference" in shown[first]
    rest = " ".join(" ".join(shown[first + 1 :]).split())
    assert "0.833" in rest and "−0.083 [−.17, +.00]" in rest
    for word in ["a", "student", "with", "quite", "a", "long", "name,", "tuned", "on", "all", "data"]:
        assert any(word in line for line in shown)  # no name is cut
    assert "shop: nothing beats clusters (0.917); the student is 0.083 below it" in rest
    assert "8 sessions are too few to tell." in rest
    assert "-0.000" not in rest and "−0.000" not in rest


def test_a_clear_gain_is_said_and_p_at_its_floor_is_a_bound(kdb) -> None:
    runs = [run("c", baseline="clusters"), student("s")]
    some = [prediction(n, HALF, "c") for n in range(40)] + [prediction(n, GOOD, "s") for n in range(40)]
    text = " ".join(table(kdb, stdin=lines(*runs, *some)))
    assert "shop: the student is better than clusters (0.667) by 0.333" in text and "p ≤ 0.0001" in text


def test_a_family_does_not_grow_by_runs_that_it_does_not_ask_about(kdb) -> None:
    runs = [run("c", baseline="clusters"), student("s"), student("copy"), run("w", baseline="whole-session")]
    some = [prediction(n, GOOD if n % 3 else HALF, "c") for n in range(30)]
    some += [prediction(n, GOOD if n % 5 else WRONG, "s") for n in range(30)]
    alone = comparisons(kdb("eval", stdin=lines(*runs[:2], *some)), "baseline")
    some += [prediction(n, GOOD if n % 5 else WRONG, "copy") for n in range(30)]
    some += [prediction(n, ["abcd"], "w") for n in range(30)]
    beside = kdb("eval", stdin=lines(*runs, *some))
    found = comparisons(beside, "baseline")
    assert found["s", "c"] == alone["s", "c"]
    assert found["copy", "c"]["p"] == {} and found["copy", "c"]["differences"] == found["s", "c"]["differences"]
    assert comparisons(beside, "baselines")["w", "c"]["p"] == {}


def test_the_reference_is_named_or_chosen_on_validation(kdb, tmp_path: Path) -> None:
    runs = [run("c", baseline="clusters"), run("p", baseline="partition-crf"), student("s")]
    test = lines(*runs, *(prediction(n, HALF, r.id) for n in range(4) for r in runs))
    valid = [prediction(n, GOOD if r.id == "c" else HALF, r.id) for n in range(4) for r in runs]
    metrics_file = tmp_path / "validation.jsonl"
    metrics_file.write_bytes(kdb("eval", stdin=lines(*runs, *valid)).out)
    default = kdb("eval", stdin=test)
    assert set(comparisons(default, "baseline")) == {("s", "p")} and "strongest design" in default.stderr
    for reference in ("clusters", metrics_file):
        assert set(comparisons(kdb("eval", "--reference", reference, stdin=test), "baseline")) == {("s", "c")}
    unknown = kdb("eval", "--reference", "nobody", stdin=test)
    assert unknown.code == 1 and "no such run" in unknown.stderr


def test_levels_are_compared_on_equal_data_only(kdb) -> None:
    small, large = {"sessions": 62, "domains": ["shop"]}, {"sessions": 623, "domains": ["shop"]}
    tagged = [
        student("none", adapter="a", trained=small, tags={"format": "none", "quantity": "10 %"}),
        student("rule", adapter="b", trained=small, tags={"format": "rule", "quantity": "10 %"}),
        student("all", adapter="c", trained=large, tags={"format": "rule"}),
        student("pairs", fits_kb=True, kb=large, tags={"format": "pattern"}),
    ]
    some = [prediction(n, GOOD if n % (k + 2) else HALF, r.id) for k, r in enumerate(tagged) for n in range(12)]
    result = kdb("eval", stdin=lines(*tagged, *some))
    assert set(comparisons(result, "format")) == {("rule", "none")}
    assert comparisons(kdb("eval", "--question", "format=rule", stdin=lines(*tagged, *some)), "format").keys() == {
        ("none", "rule"),
        ("pairs", "all"),
    }


def test_a_baseline_is_compared_with_itself_on_more_data(kdb) -> None:
    """Two that answer alike on little data are two comparisons where they do not on all of it."""
    runs = [
        run(f"{name} {share}", baseline=name, tags={"quantity": share})
        for name in ("clusters", "embedder")
        for share in ("10 %", "100 %")
    ]
    bundles = {"clusters 100 %": GOOD, "embedder 100 %": ["ab", "ce"]}
    some = [prediction(n, bundles.get(r.id, HALF), r.id) for n in range(12) for r in runs]
    found = comparisons(kdb("eval", stdin=lines(*runs, *some)), "quantity")
    assert set(found) == {(f"{name} 10 %", f"{name} 100 %") for name in ("clusters", "embedder")}
    assert all(one["p"] for one in found.values())


def test_seeds_are_averaged_and_paired_over_sessions(kdb) -> None:
    runs = [run("c", baseline="clusters")] + [student(f"s{n}", name="SFT", tags={"seed": str(n)}) for n in (0, 1)]
    some = [prediction(n, HALF, "c") for n in range(6)]
    some += [prediction(n, GOOD, "s0") for n in range(6)] + [prediction(n, HALF, "s1") for n in range(6)]
    result = kdb("eval", stdin=lines(*runs, *some))
    (both,) = [m for m in of_kind(result, "metric") if m["seeds"] and m["protocol"] == "strict"]
    assert both["seeds"] == ["s0", "s1"] and both["settings"]["name"] == "SFT"
    assert both["values"]["matched_f1"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-6)
    assert both["spread"]["matched_f1"] == pytest.approx((1 / 3) / 2**0.5, abs=1e-6)
    (pair,) = comparisons(result, "baseline").values()
    assert pair["runs"] == [both["run"], "c"]
    assert pair["differences"]["matched_f1"] == pytest.approx(1 / 6, abs=1e-6)
    assert "SFT (2 seeds sd" in " ".join(" ".join(table(kdb, stdin=lines(*runs, *some))).split())
