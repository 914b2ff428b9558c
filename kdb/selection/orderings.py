"""The orders in which records are sampled: a strategy ranks all of them, a sample is the head of its ranking.

So samples are nested by construction: for one seed and strategy the first 10 % are among the first 20 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

Prefer = Literal["low", "high", "spread"]

BINS = 10
"""Bands of equal width that `spread` takes from in turn."""
BLOCK = 2048
"""So many vectors are ranked exactly; more are cut into blocks that are shorter still."""
HEAD = 128
"""So many rows are taken from all vectors before the blocks."""

# Unit vectors as whole numbers: their products and squared distances (up to 4 * 2000 ** 2 < 2 ** 24) are then exact
# in float32, so that no order depends on the number of threads or on the machine.
_SCALE = 2000
_FARTHEST = 2.0**24 - 2


def shuffled(n: int, seed: int) -> list[int]:
    """The numbers below `n` in an order drawn by `seed`."""
    import numpy as np

    order: list[int] = np.random.default_rng(seed).permutation(n).tolist()
    return order


def by_value(values: Sequence[float | None], prefer: Prefer, seed: int) -> list[int]:
    """All positions, the lowest or the highest values first, or by turns from bands of value (`spread`).

    The seed decides between equal values, and within a band. Unknown values (None) come last in any case.
    """
    order = shuffled(len(values), seed)
    known = [(value, i) for i in order if (value := values[i]) is not None]
    unknown = [i for i in order if values[i] is None]
    if prefer == "spread":
        return _by_turns(known) + unknown
    sign = -1 if prefer == "high" else 1
    return [i for _, i in sorted(known, key=lambda pair: sign * pair[0])] + unknown


def _by_turns(known: Sequence[tuple[float, int]]) -> list[int]:
    """One from each band that has any left, round by round: rare values come as early as common ones."""
    low = min((value for value, _ in known), default=0.0)
    width = (max((value for value, _ in known), default=0.0) - low) / BINS or 1.0
    bands: list[list[int]] = [[] for _ in range(BINS)]
    for value, i in known:
        bands[min(int((value - low) / width), BINS - 1)].append(i)
    rounds = range(max(map(len, bands)))
    return [band[n] for n in rounds for band in bands if n < len(band)]


def farthest_first(vectors: np.ndarray, seed: int, block: int = BLOCK) -> list[int]:
    """Greedy k-centre order of unit rows: next comes the row that is least like all rows before it.

    For every k, its first k rows leave no row farther away than twice what the best k rows would (Gonzalez
    1985). That holds for up to `block` rows, and for the first HEAD of more: for 200,000 it would take ten
    minutes. After the head, a row competes only within its block, the rows nearest to the same one of some
    rows drawn at random. Drawn rows are many where rows lie densely, which bounds the size of all blocks;
    around k-means centres or the head's own rows, a few blocks may hold nearly everything.
    """
    import numpy as np

    if not len(vectors):
        return []
    rng = np.random.default_rng(seed)
    whole = np.rint(np.asarray(vectors, dtype=np.float32) * _SCALE)
    nearest = np.full(len(whole), _FARTHEST, dtype=np.float32)
    nearest[rng.integers(len(whole))] += 1  # the row to start from
    count = len(whole) if len(whole) <= max(block, HEAD) else HEAD
    order, distances = _greedy(whole, nearest, count)
    orders, all_distances = [order], [distances]
    for rows in _blocks(whole, rng, block) if count < len(whole) else ():
        left = rows[nearest[rows] >= 0]
        order, distances = _greedy(whole[left], nearest[left], len(left))
        orders.append(left[order])
        all_distances.append(distances)
    merged = np.argsort(-np.concatenate(all_distances), kind="stable")
    ranked: list[int] = np.concatenate(orders)[merged].tolist()
    return ranked


def _greedy(whole: np.ndarray, nearest: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The next `count` rows, and how far each was from all that came before it.

    `nearest` is the squared distance of each row to these, negative for a row that was taken; it is updated.
    """
    import numpy as np

    squares = np.einsum("ij,ij->i", whole, whole)
    # All distances at once are faster by far, where there is room for them.
    table = _apart(whole, squares, whole, squares) if count == len(whole) else None
    order, distances = np.empty(count, dtype=np.intp), np.empty(count, dtype=np.float32)
    for place in range(count):
        taken = int(nearest.argmax())
        order[place], distances[place] = taken, nearest[taken]
        one = slice(taken, taken + 1)
        apart = _apart(whole[one], squares[one], whole, squares)[0] if table is None else table[taken]
        np.minimum(nearest, apart, out=nearest)
        nearest[taken] = -1
    return order, distances


def _apart(some: np.ndarray, theirs: np.ndarray, others: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """The squared distances between two sets of rows whose squares are known."""
    apart = some @ others.T
    apart *= -2
    apart += theirs[:, None]
    apart += squares
    return apart


def _blocks(whole: np.ndarray, rng: np.random.Generator, block: int) -> list[np.ndarray]:
    """The rows by the nearest of some drawn at random; a block longer than `block` is cut."""
    import numpy as np

    drawn = whole[rng.choice(len(whole), -(-4 * len(whole) // block), replace=False)]
    squares = np.einsum("ij,ij->i", drawn, drawn)
    owner = np.empty(len(whole), dtype=np.intp)
    for start in range(0, len(whole), block):
        part = whole[start : start + block]
        owner[start : start + block] = (squares - 2 * (part @ drawn.T)).argmin(axis=1)
    rows = np.argsort(owner, kind="stable")
    parts = np.split(rows, np.flatnonzero(np.diff(owner[rows])) + 1)
    return [part[start : start + block] for part in parts for start in range(0, len(part), block)]


def head(order: Sequence[int], sizes: Sequence[int], budget: int) -> list[int]:
    """The longest head of `order` whose sizes sum up to `budget` at most."""
    totals = accumulate(sizes[i] for i in order)
    return [i for i, total in zip(order, totals, strict=True) if total <= budget]
