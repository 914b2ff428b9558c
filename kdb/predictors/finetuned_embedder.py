"""The fine-tuned embedder as a baseline: clusters of what it says of pairs, and its place in the cache."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from kdb.io import files, provenance
from kdb.predictors.baseline import BaselineConfig, Needs
from kdb.predictors.clusters import Clusters, tuning_sessions
from kdb.records import Session
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student.pairwise import stack
from kdb.student.pairwise.learner import TITLE_LENGTH
from kdb.student.pairwise.title_encoder import TitleEncoder, maker
from kdb.student.pairwise.training import FitSettings, fit
from kdb.student.seen_sessions import SeenSessions

NAME = "embedder"


class FinetunedEmbedder(Clusters):
    """Clusters whose distance is 1 - the probability that two items share a bundle, by the fine-tuned embedder."""

    needs: ClassVar[Needs] = "sessions"

    @classmethod
    def fit(cls, base: KnowledgeBase, config: BaselineConfig) -> Self:
        """See `Baseline`."""
        made = maker(config.text_embedder.name, FitSettings(seed=config.seed))
        learner = made.make()
        folder = learner_folder(base, config)
        file = folder / f"{NAME}.safetensors"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            fit(learner, stack.pair_targets(base.training, base.labels), made.settings, NAME)
            learner.save(file)
        learner.load(file)

        def distances(session: Session) -> np.ndarray:
            odds = learner.log_odds([[item.title for item in session.items]])[0]
            return 1 / (1 + np.exp(odds[np.triu_indices(len(odds), 1)].astype(float)))

        found = cls._tuned(distances, tuning_sessions(base), config.utility)
        found.seen = SeenSessions.of(base.training, base.validation)
        return found


def learner_folder(base: KnowledgeBase, config: BaselineConfig) -> Path:
    """The folder for what is learnt of a base: titles, bundles, labels and settings are in its name."""
    learnt = [[[i.title for i in s.items], [b.items for b in s.truth or []], s.domain, s.id] for s in base.training]
    learnt += [[label.id, label.pair_shares, label.confidence] for label in base.labels.values()]
    settings = [TITLE_LENGTH, TitleEncoder.learning_rate, TitleEncoder.epochs, config.seed, config.embedder]
    name = provenance.content_hash([learnt, settings, provenance.versions()])
    return files.cache_folder() / "pair_learners" / name
