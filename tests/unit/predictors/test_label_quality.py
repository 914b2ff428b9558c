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


def test_a_part_of_the_labels_is_learnt_beside_the_annotated(
    training: list[Session], samples: Path, tmp_path: Path, monkeypatch
) -> None:
    given = label_quality.degraded(training, 0.8, 0, 1)
    for name, labels in (("all", given), ("part", given[::4])):
        (tmp_path / f"{name}.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, labels)))
    named = ["--labels", f"{tmp_path}/all.jsonl", "--labels", f"a fourth={tmp_path}/part.jsonl"]
    argv = ["label_quality.py", str(samples / "sessions.jsonl"), "-o", str(tmp_path), "--seeds", "1", *named]
    monkeypatch.setattr(sys, "argv", argv)
    label_quality.main()
    rows = msgspec.json.Decoder(label_quality.Row).decode_lines((tmp_path / "rows.jsonl").read_bytes())
    few = label_quality.FEW
    assert [row.setting for row in rows] == [
        few,
        f"{few}, the rest by F1 0.8",
        "labels alone, by F1 0.8",
        f"{few}, labels: a fourth",
        label_quality.ALL,
    ]
    assert 0 < rows[3].labels < rows[1].labels / 2
