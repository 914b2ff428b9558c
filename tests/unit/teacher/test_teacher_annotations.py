"""The teacher that is no model: verified thoughts, rules for and against bundling, named as what they are."""

import json
import time
from pathlib import Path

import pytest
from support.command_line import SAMPLES, Result, run_kdb

SESSIONS = SAMPLES / "sessions.jsonl"


def extract(*argv: object, stdin: bytes = b"") -> Result:
    return run_kdb("extract", *argv, "--teacher", "annotations", stdin=stdin)


def without_test() -> bytes:
    return b"".join(line for line in SESSIONS.open("rb") if b'"split":"test"' not in line)


def test_a_verified_thought_follows_each_annotated_training_session() -> None:
    stdin = without_test()
    result = extract("thought", stdin=stdin)
    assert result.code == 0
    kept = [line + b"\n" for line in result.out.splitlines() if b'"kind":"session"' in line]
    assert b"".join(kept) == stdin
    session: dict = {}
    made = 0
    for record in result.records:
        if record["kind"] == "session":
            session = record
            continue
        made += 1
        assert (session["split"], record["from"]) == ("train", {"sessions": [session["id"]]})
        assert (record["format"], record["teacher"]) == ("thought", "annotations")
        assert record["checks"] == ["form", "order", "products", "bundles"]
        assert all(bundle["intent"] in record["text"] for bundle in session["bundles"])
    assert made == sum(bool(r.get("bundles")) for r in result.records if r.get("split") == "train")


def test_rules_are_for_and_against_and_carry_what_they_measure() -> None:
    rules = [r for r in extract("rule", stdin=without_test()).records if r["kind"] == "knowledge"]
    assert {rule["domain"] for rule in rules} == {"kitchen", "outdoor"}
    for rule in rules:
        assert (rule["format"], rule["teacher"]) == ("rule", "annotations")
        assert 0 < rule["support"] <= 1
        assert 0 < rule["confidence"] <= 1
        assert rule["lift"] > 1
    against = [rule for rule in rules if rule["text"].startswith("Do not bundle")]
    assert 0 < len(against) < len(rules)


def test_rule_against_bundling_counts_what_it_says() -> None:
    sessions = [json.loads(line) for line in without_test().splitlines()]
    rules = [r for r in extract("rule", stdin=without_test()).records if r["kind"] == "knowledge"]
    rule = next(rule for rule in rules if rule["text"].startswith("Do not bundle"))
    named = {tuple(path.split(" > ")) for path in rule["antecedent"]}
    met = apart = 0
    for session in (s for s in sessions if s["split"] == "train" and s["domain"] == rule["domain"]):
        paths = {
            item["id"]: tuple(max(item.get("category", []), key=len, default=[])[:4]) for item in session["items"]
        }
        if session.get("bundles") and named <= set(paths.values()):
            met += 1
            apart += not any(named <= {paths[i] for i in bundle["items"]} for bundle in session["bundles"])
    assert len(named) == 2
    assert (rule["count"], len(rule["from"]["sessions"]), rule["confidence"]) == (apart, met, round(apart / met, 6))


@pytest.mark.parametrize("command", ["rule", "thought"])
def test_test_sessions_are_refused_unless_allowed(command: str) -> None:
    refused = extract(command, SESSIONS)
    assert refused.code == 1
    assert "is of the test split (pass on only training sessions, or --allow-test" in refused.stderr
    assert extract(command, SESSIONS, "--allow-test").code == 0


def test_sessions_bounds_what_is_asked_about() -> None:
    result = extract("thought", "--sessions", "3", stdin=without_test())
    assert [r["kind"] for r in result.records].count("knowledge") == 3


@pytest.mark.parametrize("command", ["rule", "thought"])
def test_same_input_gives_the_same_bytes(command: str) -> None:
    assert extract(command, stdin=without_test()).out == extract(command, stdin=without_test()).out


def test_teacher_must_be_named() -> None:
    result = run_kdb("extract", "thought", stdin=b"")
    assert result.code == 2
    assert "--teacher" in result.stderr


def test_all_electronic_training_sessions(electronic: Path) -> None:
    extra, split = electronic / "item_titles_extra.csv", electronic / "split.json"
    options = ["--titles", extra, "--split-file", split, "--split", "train", "--domain", "electronic"]
    sessions = run_kdb("import", electronic, *options)
    started = time.monotonic()
    result = extract("thought", stdin=sessions.out)
    assert time.monotonic() - started < 20
    assert "623 verified thoughts" in result.stderr
    assert [r["kind"] for r in result.records] == ["session", "knowledge"] * 623


@pytest.mark.parametrize("option", [["--model", "m"], ["--timeout", 3], ["--set", "rpm=9"], ["--cache", "c"]])
def test_how_to_ask_means_nothing_where_nobody_is_asked(
    option: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDB_TEACHER_MODEL", "m")  # meant for other commands too
    monkeypatch.chdir(tmp_path)
    refused = extract("thought", *option)
    assert (refused.code, refused.out, len(refused.stderr.splitlines())) == (2, b"", 1)
    assert "no effect with --teacher annotations" in refused.stderr
    assert extract("thought", stdin=without_test()).code == 0
