"""What needs no language model, as evidence that two items share a bundle: titles, categories, mined patterns.

Three numbers a pair: the cosine of the titles; how far the items' categories agree; and how much oftener
than chance items of these categories shared a bundle in training. An item's category is inferred from the
training items with the nearest titles and its own is never read, because in the public data an item has a
category if and only if it is in some bundle.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdb.records import Bundle, Item, Session
from kdb.retrieval.embedder import Embedder, cosines

N_FEATURES = 3
ARRAYS = ("vectors", "category_ids", "association", "feature_scale")
"""The names under which fitted features are kept."""
FOLDS = 5
NEIGHBOURS = 10
"""So many training items tell an item's category, weighted by exp(cosine / TEMPERATURE)."""
TEMPERATURE = 0.05
PRIOR_PAIRS = 2.0
"""The association of two categories is held back by so many pairs at the average rate."""
FULL_PATH = 99
"""The depth of the category paths: all of it, the narrowest name included."""

Floats = NDArray[np.float32]


@dataclass
class PairFeatures:
    """PairFeatures learnt from training sessions; four arrays that can be kept.

    `vectors` (items, d) are the titles of the training items that are in a bundle and have a category,
    `category_ids` (items,) the numbers of their categories, `association` (categories, categories) the log
    odds ratios, `scale` (2, N_FEATURES) mean and standard deviation of the evidence.
    """

    embedder: Embedder
    vectors: Floats
    category_ids: NDArray[np.int64]
    association: Floats
    scale: Floats

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that is to be kept, by the names in `ARRAYS`."""
        return dict(zip(ARRAYS, (self.vectors, self.category_ids, self.association, self.scale), strict=True))

    @classmethod
    def from_arrays(cls, embedder: Embedder, kept: Mapping[str, NDArray[Any]]) -> PairFeatures:
        """The same again; KeyError where one is missing."""
        return cls(embedder, *(kept[name] for name in ARRAYS))

    def pairs(self, items: Sequence[Item]) -> Floats:
        """(n, n, N_FEATURES), standardised; symmetric."""
        titles = self.embedder.encode([item.title for item in items])
        return self._standard(_raw(titles, self._categories(titles), self.association))

    def _categories(self, titles: Floats, own: NDArray[np.bool_] | None = None) -> Floats:
        """How far each item is of each category: (n, categories); `own` marks training items not to ask."""
        count = len(self.association)
        found = np.zeros((len(titles), count), dtype=np.float32)
        if not len(self.vectors):
            return found
        near = cosines(titles, self.vectors)
        if own is not None:
            near = np.where(own, -1, near)
        best = np.argsort(-near, axis=1, kind="stable")[:, :NEIGHBOURS]
        weights = np.exp(np.take_along_axis(near, best, 1) / TEMPERATURE)
        weights /= weights.sum(1, keepdims=True)
        rows = np.repeat(np.arange(len(titles)), best.shape[1])
        np.add.at(found, (rows, self.category_ids[best].ravel()), weights.ravel())
        return found

    def _standard(self, raw: Floats) -> Floats:
        return ((raw - self.scale[0]) / self.scale[1]).astype(np.float32)


def fit(
    embedder: Embedder,
    training: Sequence[Session],
    together: Sequence[Floats] | None = None,
    weights: Sequence[float] | None = None,
) -> tuple[PairFeatures, list[Floats]]:
    """The evidence of training sessions, and the pairs of these sessions themselves.

    `together` holds for each the probability that two items share a bundle, (n, n), and `weights` how much it
    counts; without, the bundles are certain and all count alike.

    The latter are cross-fitted, so that they look as those of new sessions will: an item's own category is
    not asked for, and a session's bundles do not count in the association that it is given.
    """
    categories = _known_categories(training)
    names = sorted(set(categories.values()))
    number = {name: n for n, name in enumerate(names)}
    titles = sorted(categories)
    members = np.array([number[categories[title]] for title in titles], dtype=np.int64)
    empty = np.zeros((len(names), len(names)), dtype=np.float32)
    scale = np.array([[0.0] * N_FEATURES, [1.0] * N_FEATURES], dtype=np.float32)
    found = PairFeatures(embedder, embedder.encode(titles), members, empty, scale)
    place = {title: n for n, title in enumerate(titles)}
    vectors = [embedder.encode([item.title for item in session.items]) for session in training]
    memberships = []
    for session, rows in zip(training, vectors, strict=True):
        own = np.zeros(len(titles), dtype=bool)
        own[[place[item.title] for item in session.items if item.title in place]] = True
        memberships.append(found._categories(rows, own))
    if together is None:
        together = [
            co_bundled([item.id for item in session.items], session.truth or []).astype(np.float32)
            for session in training
        ]
    counts = [1.0] * len(training) if weights is None else weights
    fold = [zlib.crc32(f"{session.domain}/{session.id}".encode()) % FOLDS for session in training]
    crossed: list[Floats] = [np.zeros(0, dtype=np.float32)] * len(training)
    for k in range(FOLDS):
        rest = [n for n in range(len(training)) if fold[n] != k]
        met, shared = ([each[n] for n in rest] for each in (memberships, together))
        association = _association(met, shared, [counts[n] for n in rest], len(names))
        for n in range(len(training)):
            if fold[n] == k:
                crossed[n] = _raw(vectors[n], memberships[n], association)
    found.association = _association(memberships, together, counts, len(names))
    flat = np.concatenate([raw[np.triu_indices(len(raw), 1)] for raw in crossed])
    found.scale = np.stack([flat.mean(0), flat.std(0) + 1e-6]).astype(np.float32)
    return found, [found._standard(raw) for raw in crossed]


def _known_categories(training: Sequence[Session]) -> dict[str, str]:
    """Title -> category of the items in true bundles."""
    known: dict[str, str] = {}
    for session in training:
        inside = {i for bundle in session.truth or [] for i in bundle.items}
        for item in session.items:
            path = item.category_path(FULL_PATH) if item.id in inside else None
            if path:
                known[item.title] = " > ".join(path)
    return known


def _raw(titles: Floats, memberships: Floats, association: Floats) -> Floats:
    lengths = np.linalg.norm(memberships, axis=1, keepdims=True)
    unit = memberships / np.where(lengths > 0, lengths, 1)
    return np.stack([cosines(titles, titles), unit @ unit.T, memberships @ association @ memberships.T], -1)


def co_bundled(items: Sequence[str], bundles: Sequence[Bundle]) -> NDArray[np.bool_]:
    """Whether two different items (by id) share a bundle: (n, n)."""
    place = {item: n for n, item in enumerate(items)}
    found = np.zeros((len(items), len(items)), dtype=bool)
    for bundle in bundles:
        own = [place[item] for item in bundle.items if item in place]
        found[np.ix_(own, own)] = True
    np.fill_diagonal(found, False)
    return found


def _association(
    memberships: Sequence[Floats], together: Sequence[Floats], weights: Sequence[float], count: int
) -> Floats:
    """For each two categories the log odds that their items share a bundle, less that of any two items."""
    if not count or not memberships:
        return np.zeros((count, count), dtype=np.float32)
    shared, met = np.zeros((count, count)), np.zeros((count, count))
    for own, pairs, weight in zip(memberships, together, weights, strict=True):
        others = 1 - np.eye(len(own))
        shared += weight * (own.T @ pairs @ own)
        met += weight * (own.T @ others @ own)
    average = np.clip(shared.sum() / max(met.sum(), 1e-9), 1e-3, 1 - 1e-3)
    rate = (shared + PRIOR_PAIRS * average) / (met + PRIOR_PAIRS)
    rate = np.clip(rate, 1e-4, 1 - 1e-4)
    return (np.log(rate / (1 - rate)) - np.log(average / (1 - average))).astype(np.float32)
