"""Two processes fill the cache of embeddings at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from kdb.retrieval.embedder import open_embedder


def test_two_processes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDB_CACHE", str(tmp_path))
    code = (
        "from kdb.retrieval.embedder import open_embedder\n"
        "for n in range(12): open_embedder().encode([f'text {n}', f'text {n + 1}'])"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)]
    assert [(process.communicate()[1], process.returncode)[1] for process in both] == [0, 0]
    assert open_embedder().encode([f"text {n}" for n in range(13)]).shape == (13, 384)
