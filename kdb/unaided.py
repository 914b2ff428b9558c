"""What can be said of a session without any language model: evidence on its pairs, and the posterior it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdb import evidence, posterior, risk
from kdb.conversation import positions
from kdb.embed import Embedder
from kdb.evidence import Evidence
from kdb.records import Item, Session

Floats = NDArray[np.float32]


@dataclass
class Unaided:
    """Evidence learnt from training sessions, and the weights of the posterior that decodes it."""

    evidence: Evidence
    weights: posterior.Weights

    def pairs(self, items: Sequence[Item]) -> Floats:
        """The evidence: (n, n, k)."""
        return self.evidence.pairs(items)

    def chances(self, pairs: Floats) -> Floats:
        """How probable it is that two items share a bundle, given the evidence on all pairs: (n, n)."""
        if len(pairs) < 2:
            return np.zeros(pairs.shape[:2], dtype=np.float32)
        return posterior.together(*posterior.likely(pairs, self.weights), len(pairs))


def learn(embedder: Embedder, training: Sequence[Session]) -> tuple[Unaided, list[Floats]]:
    """What training sessions teach, and the evidence on these sessions themselves, cross-fitted.

    Items beyond `risk.MOST_ITEMS` are left out of the latter, as they are of every decision.
    """
    found, crossed = evidence.learn(embedder, training)
    truth = [positions(session.items, session.truth or []) for session in training]
    most = risk.MOST_ITEMS
    return Unaided(found, posterior.fit(crossed, truth)), [pairs[:most, :most] for pairs in crossed]
