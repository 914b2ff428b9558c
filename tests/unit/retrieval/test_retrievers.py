"""Retrieval of a session: as a whole or item by item, exact or from an index that is built once."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from kdb import registry
from kdb.records import Item, Session
from kdb.retrieval import RETRIEVERS, vector_index
from kdb.retrieval.config import ContextConfig
from kdb.retrieval.embedder import Embedder, open_embedder
from kdb.retrieval.vector_index import VectorIndex


@pytest.fixture(scope="module")
def sessions(samples) -> list[Session]:
    lines = (samples / "sessions.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Session) for line in lines]


def test_item_by_item_is_what_brute_force_finds(sessions) -> None:
    embedder = open_embedder()
    stored, asked = sessions[:40], sessions[40:50]
    found = registry.load(RETRIEVERS, "item", "retriever")(embedder, stored).nearest(asked, 5)
    for session, places in zip(asked, found, strict=True):
        own = embedder.encode([item.title for item in session.items])
        means = [(own @ embedder.encode([i.title for i in s.items]).T).max(1).mean() for s in stored]
        best = sorted(means, reverse=True)[:5]
        assert [means[n] for n in places] == pytest.approx(best, abs=1e-5)


def test_items_find_the_session_that_has_something_for_each() -> None:
    titles = [["red kettle", "garden hose"], ["red kettle", "tea pot"], ["garden hose", "lawn mower"]]
    stored = [Session(id=str(n), domain="d", items=[Item(t, t) for t in own]) for n, own in enumerate(titles)]
    asked = Session(id="x", domain="d", items=[Item("a", "a copper kettle"), Item("b", "hose for the garden")])
    assert registry.load(RETRIEVERS, "item", "retriever")(open_embedder(), stored).nearest([asked], 1) == [[0]]


@pytest.fixture
def small_index(monkeypatch, tmp_path):
    """An index is made of more than 20 texts, of a few lists."""
    monkeypatch.setenv("KDB_CACHE", str(tmp_path))
    monkeypatch.setattr(vector_index, "MAX_EXACT", 20)
    monkeypatch.setattr(vector_index, "N_LISTS", 8)
    monkeypatch.setattr(vector_index, "N_PROBE", 7)


class Drawn(Embedder):
    """Unit rows by the number that a text is, and a count of those asked for."""

    def __init__(self) -> None:
        super().__init__("drawn")
        rows = np.random.default_rng(0).normal(size=(600, 32)).astype(np.float32)
        self.rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        self.asked = 0

    def encode(self, texts):
        self.asked += len(texts)
        return self.rows[[int(text) for text in texts]]


def test_the_index_finds_nearly_all_and_is_built_once(small_index) -> None:
    first, second = Drawn(), Drawn()
    texts = [str(n) for n in range(500)]
    found = VectorIndex(first, texts).nearest(first.rows[500:], 10)
    exact = np.argsort(-first.rows[500:] @ first.rows[:500].T, axis=1)[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact.tolist(), strict=True)])
    assert recall >= 0.95
    again = VectorIndex(second, texts)
    assert (again.nearest(first.rows[500:], 10) == found).all()
    assert str(again.file) in Path("/proc/self/maps").read_text()  # it is read through a memory map
    assert (first.asked > 500, second.asked) == (True, 0)
    assert VectorIndex(second, [*texts[:-1], "7"]).file != VectorIndex(second, texts).file


@pytest.mark.parametrize("kind", ["session", "item"])
def test_a_large_store_gives_what_a_small_one_does(small_index, monkeypatch, sessions, kind) -> None:
    monkeypatch.setattr(vector_index, "N_PROBE", 8)
    stored, asked = sessions[:30], sessions[30:36]
    large = registry.load(RETRIEVERS, kind, "retriever")(open_embedder(), stored).nearest(asked, 3)
    monkeypatch.setattr(vector_index, "MAX_EXACT", 1000)
    assert registry.load(RETRIEVERS, kind, "retriever")(open_embedder(), stored).nearest(asked, 3) == large


def test_a_recipe_says_which_neighbours(sessions) -> None:
    from kdb.retrieval.context import ContextRetriever
    from kdb.retrieval.knowledge_base import KnowledgeBase

    base = KnowledgeBase([s for s in sessions if s.split == "train"])
    asked = [s for s in sessions if s.split == "test"]
    embedder = open_embedder()
    found = {
        kind: [
            [demo.session.id for demo in shown.demos]
            for shown in ContextRetriever(base, ContextConfig(demos=3, retrieval=kind), embedder).shown(asked)
        ]
        for kind in ("session", "item")
    }
    assert found["session"] != found["item"]
    assert all(len(demos) == 3 for own in found.values() for demos in own)
