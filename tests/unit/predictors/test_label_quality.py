"""The script on the worth of labels: its stand-in teacher is as good as asked, its table is whole."""

import sys
from pathlib import Path

import label_quality
import msgspec
import pytest

from kdb.records import Session


@pytest.fixture(scope="module")
def training(samples: Path) -> list[Session]:
    lines = (samples / "sessions.jsonl").read_bytes().splitlines()
    found = [msgspec.json.decode(line, type=Session) for line in lines]
    return [one for one in found if one.split == "train"]


@pytest.mark.parametrize("quality", [1.0, 0.8, 0.6])
def test_annotations_are_degraded_to_a_quality(training: list[Session], quality: float) -> None:
    given = label_quality.degraded(training, quality, 0, 1)
    _, labels, found = label_quality.labelled_sessions(training, given)
    assert found == pytest.approx(quality, abs=0.05) and len(labels) == len(training)
    assert given == label_quality.degraded(training, quality, 0, 1)


def test_the_table_has_every_setting(samples: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    argv = ["label_quality.py", str(samples / "sessions.jsonl"), "-o", str(tmp_path), "--seeds", "2"]
    monkeypatch.setattr(label_quality, "QUALITIES", (0.8,))
    monkeypatch.setattr(sys, "argv", argv)
    label_quality.main()
    rows = (tmp_path / "table.md").read_text().splitlines()[4:]
    assert len(rows) == 4 and all(row.split("|")[-2].strip() in {"", "helps", "harms", "tie"} for row in rows)
    assert "| reference |" in rows[1] and "over 2 draws" in capsys.readouterr().out


def test_labels_of_a_file_are_named_by_teacher_or_as_told(training: list[Session], tmp_path: Path) -> None:
    given = label_quality.degraded(training, 0.8, 0, 1)
    (tmp_path / "labels.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, given)))
    assert [name for name, _ in label_quality.real_labels(str(tmp_path / "labels.jsonl"))] == ["F1 0.8"]
    ((name, labels),) = label_quality.real_labels(f"length 25 %={tmp_path / 'labels.jsonl'}")
    assert name == "length 25 %" and [label.bundles for label in labels] == [label.bundles for label in given]
