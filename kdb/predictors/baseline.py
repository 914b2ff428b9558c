"""What needs no LLM: the opponents that every student has to beat (`kdb infer --baseline NAME`).

Baselines see a session's item ids and titles, nothing else: in the public data an item has a category if and
only if it is in a bundle, so reading the categories would be reading the answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np

from kdb import registry
from kdb.errors import UsageError
from kdb.partitions import mbr
from kdb.predictors import PREDICTORS
from kdb.records import Bundle, Session
from kdb.retrieval import EMBEDDER
from kdb.retrieval.embedder import Embedder, open_embedder
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student.seen_sessions import SeenSessions

Needs = Literal["nothing", "sessions", "patterns"]
RENAMED = {"patterns": "pattern-matching", "posterior": "partition-crf"}
"""Names of version 1."""


@dataclass(frozen=True)
class BaselineConfig:
    """How a baseline is fitted: what its predictions aim at, the seed of what is random, the embedder's name."""

    utility: str = "f1"
    seed: int = 0
    embedder: str = EMBEDDER

    @cached_property
    def text_embedder(self) -> Embedder:
        """The embedder of this name."""
        return open_embedder(self.embedder)


class Baseline(ABC):
    """Predicts bundles from the titles of a session."""

    needs: ClassVar[Needs] = "nothing"
    """What `fit` needs of a knowledge base: annotated training sessions, mined patterns, or nothing."""
    gives_probabilities: ClassVar[bool] = False
    """Whether its bundles have a probability."""
    embeds: ClassVar[bool] = True
    """Whether it compares titles with an embedder."""
    seen: SeenSessions = SeenSessions()
    """The sessions that something was fitted on, or a threshold chosen by."""

    @classmethod
    @abstractmethod
    def fit(cls, base: KnowledgeBase, config: BaselineConfig) -> Self:
        """Learn from annotated sessions and knowledge; UsageError where what it needs is missing."""

    @abstractmethod
    def bundles(self, session: Session) -> list[Bundle]:
        """The predicted bundles, two or more items each; there may be none."""

    @property
    def settings(self) -> dict[str, Any]:
        """What it learnt that a run should record, as a threshold."""
        return {}

    def close(self) -> None:  # noqa: B027
        """Say at the end what there is to say."""


def build(name: str, base: KnowledgeBase, config: BaselineConfig) -> Baseline:
    """The baseline of this name, fitted; UsageError where the name is unknown or what it needs is missing."""
    if name in RENAMED:
        raise UsageError(f"baseline {name!r} does not exist", f"it is called {RENAMED[name]!r} now")
    kind: type[Baseline] = registry.load(PREDICTORS, name, "baseline")
    registry.check(mbr.UTILITIES, config.utility, "utility")
    if kind.needs != "nothing" and not (base.training or base.validation):
        raise UsageError(f"the baseline {name!r} needs annotated sessions", "pass them with --kb")
    if kind.needs == "sessions" and not any(bundle for session in base.training for bundle in session.truth or []):
        raise UsageError("no training session with a bundle in --kb", "import with --split train,validation")
    return kind.fit(base, config)


def item_ids(session: Session) -> list[str]:
    """The ids of a session's items, in order."""
    return [item.id for item in session.items]


def co_bundled_pairs(session: Session) -> np.ndarray:
    """Whether each pair shares a true bundle, in the order of `itertools.combinations`."""
    from kdb.partitions.pair_features import co_bundled

    ids = item_ids(session)
    return co_bundled(ids, session.truth or [])[np.triu_indices(len(ids), 1)]
