"""`kdb eval`: what it counts, refuses and writes."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.predictions import GOOD, ITEMS, TRUTH, bundles, lines, metrics, of_kind, prediction

from kdb.evaluation import METRICS
from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.definition import MetricDefinition, sessions
from kdb.predictors.trivial import AllPairs, WholeSession
from kdb.records import Bundle, End, Prediction, Run, Session, Usage


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
