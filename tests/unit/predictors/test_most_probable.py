"""Bundles kept by their probability, from the command line."""

import msgspec
import pytest

pytestmark = pytest.mark.usefixtures("tiny_titles")


@pytest.fixture(scope="module")
def parts(samples, tmp_path_factory):
    """Paths to what a model may know (`kb`) and to test sessions (`test`) of one shop."""
    folder = tmp_path_factory.mktemp("parts")
    for line in (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True):
        session = msgspec.json.decode(line)
        if session["domain"] == "kitchen":
            with (folder / ("test.jsonl" if session["split"] == "test" else "kb.jsonl")).open("ab") as file:
                file.write(line)
    return folder


def predicted(kdb, parts, *options):
    done = kdb("infer", parts / "test.jsonl", "--baseline", "partition-crf", "--kb", parts / "kb.jsonl", *options)
    assert done.code == 0, done.stderr
    run, *others = done.records
    return run, [r["bundles"] for r in others if r["kind"] == "prediction"]


def test_what_is_left_are_the_most_probable(kdb, parts):
    _, every = predicted(kdb, parts)
    run, probable = predicted(kdb, parts, "--min-probability", "0.6")
    assert probable == [[b for b in own if b["probability"] >= 0.6] for own in every]
    assert (run["settings"]["min_probability"], run["settings"]["top"]) == (0.6, 0)
    _, first = predicted(kdb, parts, "--top", "1")
    assert [[b["probability"] for b in own] for own in first] == [
        [max(b["probability"] for b in own)] if own else [] for own in every
    ]
    assert any(len(own) > 1 for own in every)


def test_answers_that_agree_are_probable(kdb, parts, tiny_student):
    argv = ("infer", parts / "test.jsonl", "--student", tiny_student, "--answer", "labels", "--top", "1")
    alone = kdb(*argv)
    assert (alone.code, alone.out) == (2, b"")
    assert "--samples" in alone.stderr and alone.stderr.count("\n") == 1
    several = kdb(*argv, "--samples", "2")
    assert several.code == 0, several.stderr
    found = [r["bundles"] for r in several.records if r["kind"] == "prediction"]
    assert all(len(own) <= 1 and all(b["probability"] in (0.5, 1.0) for b in own) for own in found)


def test_without_probabilities_it_is_refused(kdb, parts):
    done = kdb("infer", parts / "test.jsonl", "--baseline", "whole-session", "--top", "1")
    assert (done.code, done.out) == (2, b"")
    assert "no probability" in done.stderr and done.stderr.count("\n") == 1
