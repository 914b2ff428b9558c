"""The sample catalogue: made by its generator, and such as a person would believe."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from kdb.records import Session


@pytest.fixture(scope="module")
def sessions(samples: Path) -> list[Session]:
    return [msgspec.json.decode(line, type=Session) for line in (samples / "sessions.jsonl").open("rb")]


def test_generator_reproduces_the_files(samples: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, samples / "make_samples.py", tmp_path], check=True, capture_output=True)
    made = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert len(made) == 18
    for name in made:
        assert (tmp_path / name).read_bytes() == (samples / name).read_bytes(), name


def test_stream_is_what_import_prints(kdb, samples: Path) -> None:
    printed = b""
    for domain in ("kitchen", "outdoor"):
        printed += kdb("import", samples / domain, "--split-file", samples / domain / "split.json").out
    assert printed == (samples / "sessions.jsonl").read_bytes()


def test_size(sessions: list[Session]) -> None:
    assert [s.domain for s in sessions] == ["kitchen"] * 40 + ["outdoor"] * 40
    assert all(3 <= len(s.items) <= 9 for s in sessions)
    assert all(s.truth and len(s.truth) <= 3 for s in sessions)
    assert all(2 <= len(b.items) <= 5 and b.intent for s in sessions for b in s.truth or [])


def test_titles_are_distinct_and_give_nothing_away(sessions: list[Session]) -> None:
    products = {(s.domain, item.id): item for s in sessions for item in s.items}
    assert len({item.title for item in products.values()}) == len(products) > 200
    assert all(item.title and item.category for item in products.values())
    bundled = {(s.domain, i) for s in sessions for b in s.truth or [] for i in b.items}
    alone = sum((s.domain, item.id) not in bundled for s in sessions for item in s.items)
    beside = sum(item.id not in {i for b in s.truth or [] for i in b.items} for s in sessions for item in s.items)
    # Most distractors are in a bundle elsewhere: an item alone does not tell whether it belongs.
    assert alone < beside / 2


def test_pictures_show_the_session_and_the_stages(samples: Path, tmp_path: Path) -> None:
    import make_pictures

    make_pictures.main(tmp_path)
    for name in ("session.svg", "pipe.svg"):
        assert words(tmp_path / name) == words(samples / "pictures" / name), name
    shown = words(samples / "pictures" / "session.svg")
    assert "Baking cookies with the children" in shown
    assert [w for w in words(samples / "pictures" / "pipe.svg") if w.startswith("kdb ")] == [
        f"kdb {name}" for name, _, _ in make_pictures.STAGES
    ]


def words(picture: Path) -> list[str]:
    """The texts of a picture: matplotlib releases draw lines differently, but not these."""
    return [text.strip() for text in re.findall(r"<text[^>]*>([^<]+)</text>", picture.read_text(encoding="utf-8"))]
