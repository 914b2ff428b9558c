"""Who predicts bundles: baselines, students here, students behind a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from kdb.records import Prediction, Session
from kdb.student.seen_sessions import SeenSessions

PREDICTORS = {
    "whole-session": "kdb.predictors.trivial:WholeSession",
    "all-pairs": "kdb.predictors.trivial:AllPairs",
    "clusters": "kdb.predictors.clusters:Clusters",
    "pattern-matching": "kdb.predictors.pattern_matching:PatternMatching",
    "pair-classifier": "kdb.predictors.pair_classifier:PairClassifier",
    "embedder": "kdb.predictors.finetuned_embedder:FinetunedEmbedder",
    "partition-crf-frozen": "kdb.predictors.partition_crf:FrozenPartitionCrf",
    "partition-crf": "kdb.predictors.partition_crf:PartitionCrf",
}
"""The baselines, by the names that `--baseline` takes; each is a `kdb.predictors.baseline.Baseline`.

From the weakest design on: students are compared with the last of those that ran. Fixed before any result is seen.
"""

SERVED = {
    "text": "kdb.predictors.remote_student:RemoteStudent",
    "states": "kdb.predictors.served_pairs:ServedPairs",
    "logprobs": "kdb.predictors.served_prompts:ServedPrompts",
}
"""Students behind a server, by what it is asked for: `served_as` of the answer format."""


class Predictor(Protocol):
    """Predicts bundles for sessions."""

    settings: dict[str, Any]
    """What it is, as the `run` record has it."""
    measured: dict[str, Any]
    """What is known of it before it predicts."""
    seen: SeenSessions
    """The sessions that it has learnt from."""
    fits_kb: bool
    """Whether it has learnt from what it was given by this run, and not before."""
    gives_probabilities: bool
    """Whether its bundles have a probability."""

    def predict(self, sessions: Sequence[Session]) -> list[Prediction]:
        """One prediction for each session, without the fields of a run."""

    def close(self) -> None:
        """Say at the end what there is to say, and let go of what was open."""
