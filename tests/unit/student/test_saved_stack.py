"""What is saved of a fitted student decides as before it was saved."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.partitions import crf
from kdb.records import Item
from kdb.retrieval.embedder import open_embedder
from kdb.student.pairwise import stack
from kdb.student.pairwise.learner import LogOdds, Titles
from kdb.student.pairwise.stack import PairStack, scale_of
from kdb.student.tensors import read_tensors, write_tensors


class Constant:
    """A learner that says the same of all pairs, and learnt on others."""

    def __init__(self, value: float) -> None:
        self.value = value

    def log_odds(self, sessions: Sequence[Titles]) -> list[LogOdds]:
        return [self.value * stack.together(len(titles), [range(len(titles))]) for titles in sessions]

    def length(self, titles: Titles) -> int:
        return 0


def test_the_learners_have_their_own_scale_again(tmp_path: Path) -> None:
    """Once written transposed: the mean of the second learner came back as the spread of the first."""
    drawn = np.random.default_rng(0)
    odds = [[drawn.normal(mean, spread, (4, 4)).astype(np.float32) for _ in range(3)] for mean, spread in SCALES]
    learners = {f"learner {n}": Constant(n) for n in (0, 2)}
    scale = scale_of(odds)[:, [0, 2]]
    weights = drawn.normal(size=crf.n_weights(2)).astype(np.float32)
    made = PairStack(None, learners, scale, weights)  # type: ignore[arg-type]
    made.save(tmp_path)
    again = stack.read(tmp_path, open_embedder(), learners.__getitem__, use_features=False)  # type: ignore[arg-type]
    assert (again.scale == made.scale).all() and (again.weights == made.weights).all()
    items = [[Item(str(n), f"title {n}") for n in range(3)]]
    assert (again.pairs(items)[0] == made.pairs(items)[0]).all()


SCALES = [(1.0, 2.0), (5.0, 1.0), (-3.0, 4.0)]


@given(rows=st.integers(1, 4), columns=st.integers(1, 4), layout=st.sampled_from(["C", "F", "strided"]))
def test_arrays_come_back_whatever_their_layout(
    tmp_path_factory: pytest.TempPathFactory, rows: int, columns: int, layout: str
) -> None:
    file = tmp_path_factory.mktemp("tensors") / "a.safetensors"
    values = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    laid = np.repeat(values, 2, axis=1)[:, ::2] if layout == "strided" else np.array(values, order=layout)  # type: ignore[call-overload]
    write_tensors(file, {"values": laid})
    assert (read_tensors(file, {"values": None})["values"] == values).all()
