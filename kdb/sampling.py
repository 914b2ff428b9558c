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
"""So many vectors are ranked exactly; more are cut into blocks of up to so many."""

_FARTHEST = 2  # 1 - cosine of opposite vectors
_DIGITS = 5  # beyond these, products depend on the number of threads


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
    1985). That holds up to `block` rows; for 200,000 it would take ten minutes and more. More rows are halved
    across their widest direction until they fit, each block is ranked alone, and the rankings are merged by
    the distance at which each row was taken. K-means clusters would serve the same end, but blocks of equal
    size bound the time and leave no number of clusters to choose.
    """
    import numpy as np

    if not len(vectors):
        return []
    rng = np.random.default_rng(seed)
    blocks = _halved(vectors, np.arange(len(vectors)), block)
    ranked = [_greedy(vectors[rows], int(rng.integers(len(rows)))) for rows in blocks]
    orders = [rows[order] for rows, (order, _) in zip(blocks, ranked, strict=True)]
    # A block's first row has none before it: these are ranked among themselves, and come before all others.
    firsts, _ = _greedy(vectors[[order[0] for order in orders]], 0)
    for place, n in enumerate(firsts):
        ranked[n][1][0] = _FARTHEST + len(blocks) - place
    distances = np.concatenate([distance for _, distance in ranked])
    merged: list[int] = np.concatenate(orders)[np.argsort(-distances, kind="stable")].tolist()
    return merged


def _halved(vectors: np.ndarray, rows: np.ndarray, block: int) -> list[np.ndarray]:
    """The rows cut in half, and again, until no part is longer than `block`: similar rows stay together."""
    import numpy as np

    if len(rows) <= block:
        return [rows]
    own = vectors[rows]
    one = own[np.argmin(own @ own[0])]
    other = own[np.argmin(own @ one)]
    side = np.argsort(np.round(own @ (one - other), _DIGITS), kind="stable")
    del own  # or each level of the recursion would keep its copy
    half = len(rows) // 2
    parts = rows[np.sort(side[:half])], rows[np.sort(side[half:])]
    return [piece for part in parts for piece in _halved(vectors, part, block)]


def _greedy(vectors: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    """The exact order, and for each row in it 1 - cosine to the nearest of those before it."""
    import numpy as np

    count = len(vectors)
    apart = 1 - np.round(vectors @ vectors.T, _DIGITS)
    order, distance = np.empty(count, dtype=np.intp), np.empty(count, dtype=np.float32)
    nearest = np.full(count, _FARTHEST, dtype=np.float32)
    taken = start
    for place in range(count):
        order[place], distance[place] = taken, nearest[taken]
        np.minimum(nearest, apart[taken], out=nearest)
        nearest[taken] = -1
        taken = int(nearest.argmax())
    return order, distance


def head(order: Sequence[int], sizes: Sequence[int], budget: int) -> list[int]:
    """The longest head of `order` whose sizes sum up to `budget` at most."""
    totals = accumulate(sizes[i] for i in order)
    return [i for i, total in zip(order, totals, strict=True) if total <= budget]
