"""The factors of an experiment that a run's settings and tags say."""

from support.shop_runs import ALL, STUDENT, drawn, shown, tuned

from kdb.evaluation.labels import label
from kdb.report.factors import factors


def test_factors() -> None:
    assert factors({"baseline": "clusters"}) == {"baseline": "clusters"} and factors({}) == {}
    knowing = tuned(knowledge={"pattern": 9, "thought": 4})
    assert factors(knowing)["format"] == "none"
    assert factors({**knowing, "knowledge": 2})["format"] == "pattern + thought"
    assert factors({**knowing, "knowledge": 2, "formats": ["pattern"]})["format"] == "pattern"
    assert factors({**knowing, "thoughts": "auxiliary"})["format"] == "thought"
    labelled = tuned(knowledge={"pattern": 9, "label": 4}, labelled=3)
    assert factors(labelled)["format"] == "label"
    assert factors({**labelled, "knowledge": 2})["format"] == "pattern + label"
    unread = tuned(knowledge={"label": 4})  # of annotated sessions alone
    assert factors({**unread, "knowledge": 2})["format"] == "none"
    assert "strategy" not in factors(drawn("random", 1.0))
    adaptive = shown(corrections=True, kb={**ALL, "knowledge": {"correction": 9}})
    assert (factors(adaptive)["utilization"], factors(adaptive)["format"]) == ("adaptive ICL", "none")
    assert factors({**tuned(), "demos": 1, "corrections": True})["utilization"] == "SFT + adaptive ICL"
    assert [factors(one)["utilization"] for one in (STUDENT, shown(), tuned(), {**tuned(), "demos": 1})] == [
        "zero-shot",
        "ICL",
        "SFT",
        "SFT + ICL",
    ]
    assert label(adaptive) == "tiny, adaptive ICL"
    assert factors(tuned(selected={"of": "sessions", "strategy": "length", "prefer": "long", "count": 9})) == {
        "student": "tiny",
        "answer": "list",
        "utilization": "SFT",
        "format": "none",
        "strategy": "length long",
        "quantity": "9 sessions",
    }


def test_a_trained_student_that_reads_patterns_is_not_in_context_learning() -> None:
    reading = {**drawn("random", 0.1), "knowledge": 3, "kb": {"knowledge": {"pattern": 5}}}
    assert factors(reading)["utilization"] == "SFT" and factors(reading)["format"] == "pattern"


def test_a_zero_shot_student_with_pair_features_draws_on_their_sessions() -> None:
    fitted = {**STUDENT, "answer": "pair-prompts", "kb": {"sessions": 623}}
    assert factors(fitted)["quantity"] == "100 %" and "quantity" not in factors(STUDENT)


def test_declared_factors_win_over_settings() -> None:
    declared = {**drawn("random", 0.3), "tags": {"strategy": "mine", "recipe": "r1", "seed": 3, "timing": "idle"}}
    found = factors(declared)
    assert (found["strategy"], found["recipe"], found["quantity"]) == ("mine", "r1", "30 %")
    assert "seed" not in found and "timing" not in found
