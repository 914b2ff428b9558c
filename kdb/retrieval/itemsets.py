"""Frequent itemsets: which things occur together in so many transactions.

Mined by projection: the transactions that hold the rarest thing, cut down to the more frequent things, are a
smaller set of transactions, and its frequent itemsets are those that hold the rarest thing; then the next rare
one. Transactions are rows of a sparse matrix, so the work and the memory are those of a few integers a thing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

T = TypeVar("T")
Transactions = Sequence[Collection[T]]
"""In each the things are distinct."""
Itemsets = dict[frozenset[T], int]
"""Each frequent itemset, with the number of transactions that hold it."""
Engine = Callable[[Transactions[T], int, int], Itemsets[T]]
"""Of transactions, the itemsets that at least so many hold, of at most so many things."""


def frequent(transactions: Transactions[T], fewest: int, most: int) -> Itemsets[T]:
    """The itemsets of at most `most` things that at least `fewest` transactions (one or more) hold."""
    counts = Counter(chain.from_iterable(transactions))
    things = sorted((thing for thing in counts if counts[thing] >= fewest), key=counts.__getitem__)
    found = _project((), np.arange(len(things)), _matrix(transactions, things), fewest, most)
    return {frozenset(things[n] for n in itemset): count for itemset, count in found}


def _matrix(transactions: Transactions[T], things: Sequence[T]) -> csr_array:
    """A row for each transaction, a column for each thing."""
    from scipy.sparse import csr_array

    columns = {thing: n for n, thing in enumerate(things)}
    ends = np.zeros(len(transactions) + 1, dtype=np.int64)
    np.cumsum([sum(thing in columns for thing in t) for t in transactions], out=ends[1:])
    holds = (columns[thing] for t in transactions for thing in t if thing in columns)
    indices = np.fromiter(holds, dtype=np.int32, count=ends[-1])
    return csr_array((np.ones(len(indices), dtype=bool), indices, ends), shape=(len(transactions), len(things)))


def _project(
    prefix: tuple[int, ...], names: np.ndarray, rows: csr_array, fewest: int, room: int
) -> Iterator[tuple[tuple[int, ...], int]]:
    """The prefix with one to `room` things more, where `rows` are what the transactions with it hold else."""
    counts = np.bincount(rows.indices, minlength=len(names))
    kept = np.flatnonzero(counts >= fewest)
    grown = [(*prefix, n) for n in names[kept].tolist()]
    yield from zip(grown, counts[kept].tolist(), strict=True)
    if room > 1 and len(kept) > 1:
        rows, names = rows[:, kept], names[kept]
        holders = rows.tocsc()
        for n, itemset in enumerate(grown[:-1]):
            own = holders.indices[holders.indptr[n] : holders.indptr[n + 1]]
            yield from _project(itemset, names[n + 1 :], rows[own][:, n + 1 :], fewest, room - 1)
