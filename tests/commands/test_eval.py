"""`kdb eval`: what it counts, compares, refuses and writes."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from kdb.evaluation import METRICS
from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.definition import MetricDefinition, sessions
from kdb.predictors.trivial import AllPairs, WholeSession
from kdb.records import Bundle, End, Prediction, Run, Session, Usage

ITEMS = ["a", "b", "c", "d"]
TRUTH = [["a", "b"], ["c", "d"]]


def bundles(ids: list[str], intent: str = "") -> list[Bundle]:
    return [Bundle(list(one), intent) for one in ids]


def prediction(session: int, predicted: list[str], run: str = "r", **fields: object) -> Prediction:
    given = {"domain": "shop", "items": ITEMS, "status": "ok", "truth": bundles(TRUTH), **fields}
    return Prediction(id=str(session), bundles=bundles(predicted), run=run, **given)


def lines(*records: object) -> bytes:
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def metrics(result, run: str = "r", protocol: str = "strict", **by: str) -> dict:
    assert result.code == 0, result.stderr
    wanted = (run, protocol, by)
    (found,) = [
        r for r in result.records if r["kind"] == "metric" and (r["run"], r["protocol"], r["slice"]) == wanted
    ]
    return found


def of_kind(result, kind: str) -> list[dict]:
    assert result.code == 0, result.stderr
    return [r for r in result.records if r["kind"] == kind]


def test_metrics_of_both_protocols_with_intervals(kdb) -> None:
    some = [prediction(1, ["ab", "cd"]), prediction(2, ["ac"]), prediction(3, [], status="failed")]
    result = kdb("eval", stdin=lines(Run(id="r", command="infer", settings={"baseline": "x"}), *some))
    strict, released = metrics(result), metrics(result, protocol="released")
    assert strict["values"]["precision"] == pytest.approx(1 / 3, abs=1e-6)
    assert strict["values"]["failed"] == pytest.approx(1 / 3, abs=1e-6)
    assert released["values"]["precision"] == 1 / 2  # the failed session has left the mean
    assert strict["values"]["exact"] == pytest.approx(1 / 3, abs=1e-6)
    low, high = strict["intervals"]["precision"]
    assert (low, high) == (0, 1)
    expected = {"predicted": 3, "true": 6, "hits": 2, "invalid": 0, "failed": 1, "repaired": 0, "missing": 0}
    assert expected.items() <= strict["counts"].items()
    assert strict["settings"] == {"baseline": "x"}
    assert (
        kdb("eval", stdin=lines(Run(id="r", command="infer", settings={"baseline": "x"}), *some)).out == result.out
    )


def test_slices(kdb) -> None:
    short = {"items": ["a", "b"], "truth": bundles(["ab"])}
    some = [prediction(1, ["ab"]), prediction(2, ["ab"], **short), prediction(3, [], status="failed", **short)]
    result = kdb("eval", "--by", "domain,length,status", stdin=lines(*some))
    assert metrics(result)["sessions"] == 3
    assert metrics(result, length="4", status="ok")["values"]["recall"] == 0.5
    assert metrics(result, length="2", status="ok")["values"]["recall"] == 1
    assert metrics(result, length="2", status="failed")["values"]["recall"] == 0
    assert kdb("eval", "--by", "size", stdin=lines(*some)).code == 2


def test_per_session_scores_add_up_to_the_metrics(kdb) -> None:
    some = [prediction(1, ["ab", "cd", "aX"]), prediction(2, ["abc"]), prediction(3, ["bc", "ab"])]
    result = kdb("eval", "--per-session", stdin=lines(*some))
    scores = of_kind(result, "score")
    assert [s["id"] for s in scores] == ["1", "2", "3"]
    mean = sum(s["sums"]["matched_f1"] for s in scores) / 3
    assert metrics(result)["values"]["matched_f1"] == pytest.approx(mean, abs=1e-6)
    first, second, _ = scores
    assert {"predicted": ["a", "b"], "true": ["a", "b"], "jaccard": 1.0, "hit": True} in first["matches"]
    assert {"predicted": ["X", "a"], "true": [], "jaccard": 0.0, "hit": False} in first["matches"]
    assert {"predicted": [], "true": ["c", "d"], "jaccard": 0.0, "hit": False} in second["matches"]


def test_comparison_of_runs(kdb) -> None:
    good = [prediction(n, ["ab", "cd"], "good") for n in range(20)]
    bad = [prediction(n, ["ac"] if n else ["ab"], "bad") for n in range(20)]
    same = [prediction(n, ["cd", "ab"], "same") for n in range(20)]
    result = kdb("eval", stdin=lines(*good, *reversed(bad), *same))
    found = {tuple(c["runs"]): c for c in of_kind(result, "comparison") if c["protocol"] == "strict"}
    assert set(found) == {("bad", "good"), ("same", "good")}
    worse, equal = found["bad", "good"], found["same", "good"]
    assert worse["differences"]["precision"] == -0.95
    assert worse["intervals"]["precision"][1] < -0.8
    assert worse["p"]["precision"] == worse["p_floor"] < 0.001
    assert worse["p_holm"]["precision"] == pytest.approx(2 * worse["p"]["precision"], abs=1e-6)
    assert (equal["differences"]["precision"], equal["p_holm"]["precision"]) == (0, 1)
    assert {c["family"] for c in found.values()} == {"baseline"} and {c["reference"] for c in found.values()} == {
        "good"
    }
    assert "no baseline here; compared with the first run, good" in result.stderr


def test_the_best_run_is_named(kdb, tmp_path: Path) -> None:
    good = Run(id="good", command="infer", settings={"name": "it's good"})
    records = [prediction(n, ["ab"], run) for run in ("bad", "good") for n in range(3)]
    records[0].bundles = records[1].bundles = []
    assert kdb("eval", "--best", stdin=lines(good, *records)).stdout == "it's good\n"
    bad = kdb("eval", "--best", "--rejects", tmp_path / "bad.jsonl", stdin=lines(good, *records) + b"{}\n")
    assert (bad.code, bad.stdout) == (1, "it's good\n")


def test_unequal_sessions(kdb, tmp_path: Path) -> None:
    full, part = tmp_path / "full.jsonl", tmp_path / "part.jsonl"
    full.write_bytes(lines(*(prediction(n, ["ab", "cd"], "full") for n in range(4))))
    part.write_bytes(lines(*(prediction(n, ["ab", "cd"], "part") for n in range(1, 3))))
    refused = kdb("eval", full, part)
    assert refused.code == 1 and "2 are only in the first" in refused.stderr and "--intersect" in refused.stderr
    assert metrics(kdb("eval", "--intersect", full, part), "full")["sessions"] == 2
    # With the sessions themselves in the input, what a run lacks is a failure of that run.
    items = [{"id": i, "title": i} for i in ITEMS]
    session = {"kind": "session", "domain": "shop", "items": items, "bundles": bundles(TRUTH)}
    sessions = lines(*({**session, "id": str(n)} for n in range(4)))
    counted = kdb("eval", "-", full, part, "--per-session", stdin=sessions)
    assert metrics(counted, "full")["values"]["recall"] == 1
    assert metrics(counted, "part")["values"]["recall"] == 0.5
    assert metrics(counted, "part")["counts"]["missing"] == 2
    assert metrics(counted, "part")["sessions"] == 4
    assert [s["id"] for s in of_kind(counted, "score") if s["status"] == "missing"] == ["0", "3"]


def test_cost_retention_and_speed_up(kdb, tmp_path: Path) -> None:
    spent = {"usage": Usage(prompt_tokens=90, completion_tokens=10, cost=0.5), "seconds": 4.0}
    costly = [prediction(n, ["ab", "cd"], "big", **spent) for n in range(4)]
    cheap = [prediction(n, ["ab"], "small", usage=Usage(prompt_tokens=50), seconds=1.0) for n in range(4)]
    teacher = tmp_path / "teacher.jsonl"
    teacher.write_bytes(lines(Run(id="big", command="infer", settings={}, measured={"parameters": 7000}), *costly))
    run = Run(id="small", command="infer", settings={}, measured={"parameters": 100, "peak_memory_mb": 512})
    result = kdb("eval", "--teacher", teacher, stdin=lines(run, *cheap))
    values = metrics(result, "small")["values"]
    assert values["flops"] == 2 * 100 * 50
    assert values["peak_memory_mb"] == 512
    assert (values["prompt_tokens"], values["seconds"], values["dollars"]) == (50, 1, None)
    assert (values["retention_recall"], values["retention_precision"]) == (0.5, 1)
    assert values["retention_matched_f1"] == pytest.approx(2 / 3, abs=1e-6)
    assert (values["speed_up"], values["token_share"]) == (4, 0.5)
    assert values["flops_share"] == pytest.approx(10_000 / (2 * 7000 * 100), abs=1e-6)
    assert metrics(result, "small")["intervals"]["retention_recall"] == [0.5, 0.5]


def test_intent_similarity_of_matched_bundles(kdb) -> None:
    truth = [Bundle(["a", "b"], "photography on a trip"), Bundle(["c", "d"], "")]
    said = prediction(1, ["ab", "cd"], truth=truth)
    said.bundles[0].intent, said.bundles[1].intent = "photography on a trip", "matched, but with no true intent"
    result = kdb("eval", "--intents", stdin=lines(said))
    assert metrics(result)["values"]["intent_similarity"] == pytest.approx(1, abs=1e-5)
    said.bundles[0].intent = "cleaning the kitchen"
    other = kdb("eval", "--intents", stdin=lines(said))
    assert metrics(other)["values"]["intent_similarity"] < 0.5
    assert metrics(kdb("eval", stdin=lines(said)))["values"]["intent_similarity"] is None


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lines(prediction(1, []), prediction(2, [], truth=None)), "stdin:2: session '2' of 'shop' has no truth"),
        (lines(prediction(1, ["ab"]), prediction(1, ["ab"])), "stdin:2: session '1' of 'shop' stands twice"),
        (lines(prediction(1, ["ab"]))[:-9], "stdin:1: not JSON"),
        (b"", "no prediction in the input"),
        (lines(Run(id="r", command="infer", settings={})), "no prediction in the input"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(kdb, bad: bytes, message: str) -> None:
    result = kdb("eval", stdin=bad)
    assert (result.code, result.out) == (1, b"")
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_with_a_file_for_rejects_the_rest_is_scored(kdb, tmp_path: Path) -> None:
    some = lines(prediction(1, ["ab"]), prediction(2, ["ab"], truth=None), prediction(3, ["ab"]))
    result = kdb("eval", "--rejects", "rejects.jsonl", stdin=some, cwd=tmp_path)
    assert result.code == 1
    assert [r["sessions"] for r in result.records] == [2, 2]
    assert b"stdin:2" in (tmp_path / "rejects.jsonl").read_bytes()


def test_tables_on_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    some = [prediction(n, ["ab"], run) for run in ("one", "two") for n in range(3)]
    file.write_bytes(lines(Run(id="one", command="infer", settings={"baseline": "[red]clusters"}), *some))
    outer, inner = pty.openpty()
    argv = [sys.executable, "-m", "kdb", "eval", file, "--by", "length"]
    process = subprocess.Popen(argv, stdout=inner, env={**os.environ, "COLUMNS": "120", "TERM": "dumb"})
    os.close(inner)
    shown = b""
    try:
        while part := os.read(outer, 4096):
            shown += part
    except OSError:  # the terminal has closed
        pass
    assert process.wait() == 0
    text = shown.decode()
    for expected in ("matched F1", "[red]clusters", "two", "0.500", "3 sessions", "next: kdb eval"):
        assert expected in text
    assert '"kind"' not in text


def test_a_small_evaluation_loads_nothing_heavy(kdb, tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_bytes(lines(*(prediction(n, ["ab", "bcd"]) for n in range(180))))
    code = (
        "import sys\n"
        "from kdb.cli.main import app\n"
        "try:\n    app(standalone_mode=False)\n"
        "finally:\n"
        "    heavy = {'torch', 'scipy', 'sklearn', 'pandas', 'sentence_transformers'} & set(sys.modules)\n"
        "    print(sorted(heavy), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "eval", file], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_reference_figures_on_electronic(kdb, electronic: Path) -> None:
    extra, split = electronic / "item_titles_extra.csv", electronic / "split.json"
    imported = kdb("import", electronic, "--titles", extra, "--split-file", split, "--split", "test")
    sessions = [msgspec.convert(record, Session) for record in imported.records]
    assert len(sessions) == 180
    whole, pairs = WholeSession(), AllPairs()
    records = [
        Prediction(
            id=s.id, domain=s.domain, items=[i.id for i in s.items], status="ok", run=run, truth=s.truth,
            bundles=baseline.bundles(s),
        )
        for run, baseline in (("whole", whole), ("pairs", pairs))
        for s in sessions
    ]  # fmt: skip
    result = kdb("eval", stdin=lines(*records))
    for protocol in ("strict", "released"):
        values = metrics(result, "whole", protocol)["values"]
        found = [round(values[name], 3) for name in ("precision", "recall", "coverage")]
        assert found == [0.261, 0.261, 1.0]
    assert round(metrics(result, "whole")["values"]["matched_f1"], 3) == 0.556
    assert round(metrics(result, "pairs")["values"]["precision"], 3) == 0.433
    assert metrics(result, "pairs")["values"]["recall"] == 1
    assert round(metrics(result, "pairs", "released")["values"]["recall"], 2) == 4.69


def table(kdb, *argv: object, stdin: bytes = b"") -> list[str]:
    result = kdb("eval", "--format", "table", *argv, stdin=stdin)
    assert result.code == 0, result.stderr
    return [line.rstrip() for line in result.stdout.splitlines()]


def run(identity: str, **settings: object) -> Run:
    return Run(id=identity, command="infer", settings=settings)


def student(identity: str, **settings: object) -> Run:
    return run(identity, student="models/small", **settings)


GOOD, HALF, WRONG = ["ab", "cd"], ["ab"], ["ac"]


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


def comparisons(result, family: str) -> dict[tuple[str, str], dict]:
    found = [c for c in of_kind(result, "comparison") if c["protocol"] == "strict" and c["family"] == family]
    return {tuple(c["runs"]): c for c in found}


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


def test_probabilities_are_scored_and_binned(kdb) -> None:
    """Ten bundles at 0.9 of which nine are hits, ten at 0.2 of which four are: errors 0 and 0.2."""

    def bundle(ids: str, probability: float) -> Bundle:
        return Bundle(list(ids), "", probability)

    some = [prediction(n, [], "r") for n in range(10)]
    for n, one in enumerate(some):
        one.bundles = [bundle("ab" if n else "ac", 0.9), bundle("cd" if n < 4 else "ad", 0.2)]
    result = kdb("eval", stdin=lines(*some))
    values = metrics(result)["values"]
    assert values["expected_calibration_error"] == pytest.approx((0 + 0.2) / 2, abs=1e-6)
    brier = (9 * 0.1**2 + 0.9**2 + 4 * 0.8**2 + 6 * 0.2**2) / 20
    assert values["brier"] == pytest.approx(brier, abs=1e-6)
    (found,) = of_kind(result, "calibration")
    assert [(b["bundles"], b["probability"], b["precision"]) for b in found["bins"]] == [
        (10, 0.2, 0.4),
        (10, 0.9, 0.9),
    ]
    assert [(k["share"], k["precision"]) for k in found["kept"]] == [(0.5, 0.9), (1.0, 0.65)]


def test_runs_asked_about_other_truths_or_items_are_not_compared(kdb) -> None:
    one, other = prediction(1, GOOD, "one"), prediction(1, GOOD, "other", truth=bundles(["abcd"]))
    refused = kdb("eval", stdin=lines(one, other))
    assert (
        refused.code == 1 and "session '1' of 'shop' has other items or true bundles in run 'one'" in refused.stderr
    )
    policy = {"imported": {"truth": "minimal"}}, {"imported": {"truth": "raw"}}
    records = [
        {**msgspec.to_builtins(prediction(1, GOOD, r)), "kind": "prediction", **p}
        for r, p in zip("ab", policy, strict=True)
    ]
    refused = kdb("eval", stdin=lines(*records))
    assert refused.code == 1 and "truth minimal (run a), truth raw (run b)" in refused.stderr
    items = [{"id": i, "title": i} for i in ITEMS]
    session = {"kind": "session", "id": "1", "domain": "shop", "items": items, "bundles": bundles(["abc"])}
    refused = kdb("eval", stdin=lines(session, one))
    assert refused.code == 1 and "the session records" in refused.stderr


def test_a_run_that_has_not_ended_is_not_whole(kdb) -> None:
    started = Run(id="r", command="infer", settings={}, ends=True)
    some = [prediction(n, GOOD) for n in range(3)]
    ended = End(run="r", sessions={"shop": 3})
    assert kdb("eval", stdin=lines(started, *some, ended)).code == 0
    stopped = kdb("eval", stdin=lines(started, *some[:2]))
    assert stopped.code == 1 and "stopped after 2 sessions" in stopped.stderr and "--resume" in stopped.stderr
    cut = kdb("eval", stdin=lines(started, *some[:2], ended))
    assert cut.code == 1 and "it has 2 of 3 sessions of 'shop'" in cut.stderr


def test_a_metric_is_one_line_in_the_registry(kdb, monkeypatch) -> None:
    monkeypatch.setitem(METRICS, "largest", f"{__name__}:LARGEST")
    assert metrics(kdb("eval", stdin=lines(prediction(1, ["abc", "cd"]))))["values"]["largest"] == 3
    monkeypatch.undo()
    assert all(name in "".join(kdb("eval", "--help").stdout.split()) for name in METRICS)


def largest(session: MatchedSession) -> float:
    return max(map(len, session.predicted), default=0)


LARGEST = MetricDefinition("items of the largest bundle", "sizes", largest, sessions)
