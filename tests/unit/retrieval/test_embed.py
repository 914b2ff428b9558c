"""Embeddings: the same bytes whatever the company, kept on disk, safe between processes; exact neighbours."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kdb.errors import KdbError
from kdb.retrieval.embedder import cosines, nearest, open_embedder

TEXTS = ["a camera bag", "a padded bag for a camera and two lenses", "men's red cotton shirt", ""]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDB_CACHE", str(tmp_path))
    return tmp_path


def test_unit_rows_the_same_in_any_company(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = open_embedder().encode([*TEXTS, TEXTS[0]])
    assert (together.dtype, together.shape) == (np.float32, (5, 384))
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(5), abs=1e-6)
    assert (together[0] == together[4]).all()
    monkeypatch.setenv("KDB_CACHE", str(cache / "other"))
    alone = open_embedder()
    for text, row in zip(reversed(TEXTS), reversed(together[:4]), strict=True):
        assert alone.encode([text])[0].tobytes() == row.tobytes()
    cosine = cosines(together, together)
    assert cosine[0, 1] > cosine[0, 2]


def test_cached_texts_need_no_model(cache: Path) -> None:
    made = open_embedder().encode(TEXTS)
    code = (
        "import sys; from kdb.retrieval.embedder import open_embedder\n"
        "rows = open_embedder().encode(sys.argv[1:])\n"
        "assert 'torch' not in sys.modules\n"
        "sys.stdout.buffer.write(rows.tobytes())"
    )
    done = subprocess.run([sys.executable, "-c", code, *TEXTS], capture_output=True, check=True)
    assert done.stdout == made.tobytes()


def test_broken_cache_and_unknown_model_are_explained(cache: Path) -> None:
    (cache / "embeddings").mkdir()
    (cache / "embeddings" / "all-MiniLM-L6-v2.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(KdbError, match=r"all-MiniLM-L6-v2\.sqlite.*delete it"):
        open_embedder().encode(TEXTS)
    with pytest.raises(KdbError, match="embedder 'no/such-model' cannot be loaded"):
        open_embedder("no/such-model").encode(TEXTS)


def test_nothing_to_encode(cache: Path) -> None:
    assert len(open_embedder().encode([])) == 0
    assert nearest(np.zeros((2, 3), np.float32), np.zeros((0, 3), np.float32), 4).shape == (2, 0)


@given(arrays(np.float32, (7, 3), elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0])), st.integers(1, 9))
def test_nearest_by_brute_force(rows: np.ndarray, k: int) -> None:
    queries = rows[:2]
    expected = [sorted(range(len(rows)), key=lambda n: (-float(q @ rows[n]), n))[:k] for q in queries]
    assert nearest(queries, rows, k).tolist() == expected
