"""The answer format `pair-prompts`: the student says yes or no to each pair, and its probabilities are decoded.

A small student learns to compare two products long before it learns to write a whole answer. For each item,
the anchor, it reads the other items one after another and is asked at each whether it was bought together
with the anchor. No answer is written, so all questions about an anchor cost one reading (see `pair_prompts`). The
log odds, and what needs no student unless that is turned off, are decoded (`kdb.partitions`): they go into a
distribution over bundlings, of which the prediction is taken that suits the utility. Any student can be asked so,
trained or not, with knowledge and demonstrations beside the session; `pairs` is better and faster once trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdb.errors import KdbError, UsageError
from kdb.partitions import calibration, crf, mbr, pair_features
from kdb.partitions.calibration import PlattScaling
from kdb.partitions.pair_features import PairFeatures
from kdb.prompts.messages import Query, positions
from kdb.records import Bundle, Item, Prediction, Session, Usage
from kdb.retrieval.config import ContextConfig
from kdb.retrieval.embedder import open_embedder
from kdb.student.config import MethodConfig
from kdb.student.examples import Example
from kdb.student.methods.method import AnswerMethod, prediction
from kdb.student.methods.pair_prompts import Floats, PairPrompts, co_bundled, log_odds, reorder
from kdb.student.model import Student, StudentTokenizer
from kdb.student.tensors import read_tensors, write_tensors

FILE = "posterior.safetensors"
ANCHORS = 3
"""So many prompts about a session are trained on an epoch; which ones, the order of its items decides."""
PRIOR_PRECISION = 5.0
"""How hard the weights learnt without the student are held to while those of the student are learnt."""
FEATURES = ("vectors", "memberships", "association", "evidence_scale")


class PromptedPairMethod(AnswerMethod[Floats]):
    """Decodes pair probabilities.

    Learns pair features, the partition model's weights, the scale of logits, and a calibration.
    """

    served_as = "logprobs"

    def __init__(self, student: Student | StudentTokenizer, config: MethodConfig, context: ContextConfig) -> None:
        """Of a student that is elsewhere, `read` is not called: who asks it decodes what it said."""
        if config.thoughts == "first":
            raise UsageError(
                "the answer format pair-prompts writes nothing, so no thought",
                "use --thoughts auxiliary, or --answer list",
            )
        if context.corrections:
            raise UsageError("the answer format pair-prompts has no dialogue to correct", "use --answer list")
        self.student, self.config = student, config
        self.embedder = open_embedder(context.embedder)
        self.pair_features: PairFeatures | None = None
        self.weights: crf.Weights | None = None
        self.scale = np.array([0.0, 1.0], dtype=np.float32)
        self.calibrate = PlattScaling()
        self._prior: crf.Weights | None = None
        self.pairs = PairPrompts(student, context.max_prompt_tokens)

    @classmethod
    def prompts(cls, intents: bool) -> list[str]:
        """The names of the prompts that such a student is asked with."""
        return ["pairs", "pairs_item"]

    def examples(self, query: Query) -> list[Example]:
        """See `AnswerMethod`: the prompts about the first ANCHORS items."""
        own = self.pairs.encode(query)
        together = co_bundled([item.id for item in own.items], query.bundles)
        anchors = range(min(ANCHORS, len(own.items)))
        return [self.pairs.anchor_prompt(own.items, n, together[n]).with_prefix(own.prefix) for n in anchors]

    def read(self, queries: Sequence[Query], batch_size: int) -> list[Floats]:
        """See `AnswerMethod`: the log odds that two items share a bundle, the mean over both anchors: (n, n)."""
        assert isinstance(self.student, Student)
        encoded = [self.pairs.encode(query) for query in queries]
        return [symmetric(own) for own in log_odds(self.student, self.pairs, encoded, batch_size)]

    def fit(self, training: Sequence[Session], validation: Sequence[Query], outputs: Sequence[Floats]) -> None:
        """See `AnswerMethod`. Without the student first, from the training sessions; then with it, from the others.

        The student has seen the training sessions, so only what it says of the validation sessions counts.
        """
        if self._prior is None:
            self._prior = self._fit_without_student(training)
        flat = np.concatenate([own[np.triu_indices(len(own), 1)] for own in outputs])
        self.scale = np.array([flat.mean(), flat.std() + 1e-6], dtype=np.float32)
        items = [query.items[: len(own)] for query, own in zip(validation, outputs, strict=True)]
        features = [self._features(own, odds) for own, odds in zip(items, outputs, strict=True)]
        truth = [positions(own, query.bundles) for own, query in zip(items, validation, strict=True)]
        self.weights = crf.fit(features, truth, self._prior, PRIOR_PRECISION)
        self.calibrate = calibration.cross_fit(
            features, truth, self.weights, self.config.utility, self._prior, PRIOR_PRECISION
        )

    def _fit_without_student(self, training: Sequence[Session]) -> crf.Weights:
        if self.config.pair_features:
            self.pair_features, pairs = pair_features.fit(self.embedder, training)
        else:
            pairs = [np.zeros((len(s.items), len(s.items), 0), dtype=np.float32) for s in training]
        weights = crf.fit(pairs, [positions(s.items, s.truth or []) for s in training])
        kinds = pairs[0].shape[2]
        return np.insert(weights, [kinds, 2 * kinds], 0.0)  # the student is the last feature

    def decode(self, queries: Sequence[Query], outputs: Sequence[Floats]) -> Prediction:
        """See `AnswerMethod`: the mean of the log odds is decoded; KdbError where nothing was fitted."""
        if self.weights is None:
            raise KdbError("the answer format pair-prompts has learnt nothing yet", "use an adapter, or pass --kb")
        encoded = [self.pairs.encode(query) for query in queries]
        first, items = encoded[0], encoded[0].items
        odds = np.mean([reorder(own, one, first) for own, one in zip(encoded, outputs, strict=True)], axis=0)
        decoded = mbr.decode(self._features(items, odds), self.weights, self.config.utility)
        return prediction(
            queries[0],
            [
                Bundle([items[n].id for n in own.positions], probability=self.calibrate(own.probability))
                for own in decoded
            ],
            context=first.context,
            raw=" ".join(f"{value:.2f}" for value in odds[np.triu_indices(len(items), 1)]),
            usage=Usage(prompt_tokens=sum(self.pairs.tokens(own) for own in encoded)),
            context_dropped=first.context_dropped,
        )

    def _features(self, items: Sequence[Item], odds: Floats) -> Floats:
        """All features of the pairs, the student's last: (n, n, k)."""
        own = ((odds - self.scale[0]) / self.scale[1])[:, :, None]
        return own if self.pair_features is None else np.concatenate([self.pair_features.pairs(items), own], -1)

    def save(self, folder: Path) -> None:
        """See `AnswerMethod`."""
        assert self.weights is not None
        kept: dict[str, NDArray[Any]] = {"weights": self.weights, "scale": self.scale}
        kept["calibration"] = self.calibrate.array()
        if self.pair_features is not None:
            own = self.pair_features
            kept |= dict(zip(FEATURES, (own.vectors, own.category_ids, own.association, own.scale), strict=True))
        write_tensors(folder / FILE, kept)

    def load(self, folder: Path) -> None:
        """See `AnswerMethod`."""
        names = FEATURES if self.config.pair_features else ()
        # Adapters of earlier versions have no calibration: their probabilities stay as they are.
        kept = read_tensors(folder / FILE, dict.fromkeys(("weights", "scale", *names)), {"calibration": (2,)})
        features = pair_features.N_FEATURES if self.config.pair_features else 0
        count = crf.n_weights(features + 1)
        if kept["weights"].shape != (count,):
            raise KdbError(f"{folder / FILE}: not the {count} weights that kdb.json asks for", "train it anew")
        self.weights, self.scale = kept["weights"], kept["scale"]
        self.calibrate = PlattScaling.of(kept["calibration"]) if "calibration" in kept else PlattScaling()
        self.pair_features = PairFeatures(self.embedder, *(kept[name] for name in names)) if names else None


def symmetric(odds: Floats) -> Floats:
    """The mean over both anchors of each pair."""
    return np.asarray((odds + odds.T) / 2, dtype=np.float32)
