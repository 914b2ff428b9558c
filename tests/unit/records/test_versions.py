"""Records of version 1, written by kdb 0.1 (`tests/data/v1`), are read; newer ones are refused by name."""

from pathlib import Path

import msgspec
import pytest

from kdb import records
from kdb.errors import KdbError
from kdb.io import stream
from kdb.records import Knowledge, Metric, Prediction, Run, Session

V1 = Path(__file__).parents[2] / "data" / "v1"


def read(name: str) -> list[records.Record]:
    return [line.record for line in stream.read([V1 / f"{name}.jsonl"], tuple(records.KINDS)) if line.record]


def test_knowledge() -> None:
    found = [piece for piece in read("kb") if isinstance(piece, Knowledge)]
    assert {piece.format for piece in found} == {"pattern", "rule", "thought"}
    rules = [piece for piece in found if piece.format == "rule"]
    assert all(isinstance(rule.first_attempt, records.FirstAttempt) for rule in rules)
    assert [list(rule.first_attempts) for rule in rules] == [rule.source.sessions for rule in rules]
    assert {len(piece.prompt_hash) for piece in found if piece.format == "rule"} == {16}


def test_predictions_and_their_runs() -> None:
    run, *predictions = read("predictions")
    assert isinstance(run, Run)
    assert [run.settings[name] for name in ("retrieval", "thoughts", "utility")] == ["session", "none", "f1"]
    assert run.settings["pair_features"] is True and run.settings["unconstrained"] is False
    assert not {"neighbours", "target", "objective", "evidence", "free"} & set(run.settings)
    assert [p.context_dropped for p in predictions if isinstance(p, Prediction)] == [8, 8]
    baseline = read("posterior")[0]
    assert isinstance(baseline, Run) and baseline.settings["baseline"] == "partition-crf-frozen"


def test_metrics() -> None:
    slices = [metric.slice for metric in read("metrics") if isinstance(metric, Metric)]
    assert {} in slices and {"length": "3"} in slices


def test_sessions_say_the_same_in_both_versions() -> None:
    sessions = [record for record in read("test") if isinstance(record, Session)]
    assert len(sessions) == 2 and all(session.truth for session in sessions)


def test_a_line_of_version_1_passes_as_it_came(kdb, tmp_path: Path) -> None:
    source = V1 / "kb.jsonl"
    assert kdb("extract", "pattern", source).out.startswith(source.read_bytes())


def test_a_field_that_is_set_makes_a_line_of_today(tmp_path: Path) -> None:
    line = next(line for line in stream.read([V1 / "kb.jsonl"]) if '"first_rounds"' in line.text)
    changed = msgspec.json.decode(line.with_fields(selected={"rank": 1}).text)
    assert (changed["v"], changed["selected"]) == (2, {"rank": 1})
    assert "first_attempts" in changed and "first_rounds" not in changed
    assert changed["text"] == msgspec.json.decode(line.text)["text"]


@pytest.mark.parametrize("kind", ["session", "knowledge", "prediction", "metric", "run"])
def test_a_newer_version_is_refused_by_name_and_version(tmp_path: Path, kind: str) -> None:
    (tmp_path / "new.jsonl").write_text(f'{{"kind": "{kind}", "v": 3, "anything": "else"}}\n')
    with pytest.raises(KdbError) as error:
        list(stream.read([tmp_path / "new.jsonl"], tuple(records.KINDS)))
    message = f"new.jsonl:1: v: a {kind} of version 3, and kdb 0.1.0 reads up to version 2: upgrade kdb"
    assert message in str(error.value)


def test_what_is_written_carries_the_version() -> None:
    session = Session(id="1", domain="d", items=[records.Item("a", "A")])
    assert msgspec.json.decode(msgspec.json.encode(session)) == {
        "kind": "session",
        "v": 2,
        "id": "1",
        "domain": "d",
        "items": [{"id": "a", "title": "A"}],
    }
