"""The decision rule `pairs`: the student says yes or no to each pair, and its probabilities are decoded.

A small student learns to compare two products long before it learns to write a whole answer. For each item,
the anchor, it reads the other items one after another and is asked at each whether it was bought together
with the anchor. No answer is written, so all questions of a row cost one reading (see `rows`). The log odds, and
what needs no student unless that is turned off, are decoded (`kdb.partitions`): they go into a posterior over
bundlings, of which the prediction is taken that suits the objective.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdb.errors import KdbError, UsageError
from kdb.partitions import crf, mbr, pair_features
from kdb.partitions.pair_features import PairFeatures
from kdb.prompts.messages import LabelledQuery, Message, Query, positions
from kdb.records import Bundle, Item, Session, Usage
from kdb.retrieval.embedder import Embedder
from kdb.student.examples import Example
from kdb.student.methods.method import AnswerMethod, Decision
from kdb.student.methods.pair_prompts import EncodedQuery, Key, PairPrompts, log_odds, reorder, shared
from kdb.student.model import Student

FILE = "posterior.safetensors"
ANCHORS = 3
"""So many rows of a session are trained on an epoch; which ones, the order of its items decides."""
PRIOR_PRECISION = 5.0
"""How hard the weights learnt without the student are held to while those of the student are learnt."""

Floats = NDArray[np.float32]


class PairMethod(AnswerMethod):
    """Decodes pair probabilities. What it learns: the evidence, the posterior's weights, the logits' scale."""

    def __init__(self, student: Student, objective: str, use_evidence: bool, max_prompt_tokens: int) -> None:
        if objective not in mbr.UTILITIES:
            raise UsageError(f"no objective {objective!r}", f"there are {', '.join(mbr.UTILITIES)}")
        self.student, self.objective, self.use_evidence = student, objective, use_evidence
        self.embedder = Embedder()
        self.evidence: PairFeatures | None = None
        self.weights: crf.Weights | None = None
        self.scale = np.array([0.0, 1.0], dtype=np.float32)
        self._prior: crf.Weights | None = None
        # What the student said of the sessions that it was last heard on: validation asks for it again.
        self._heard: dict[Key, Floats] = {}
        self._rows = PairPrompts(student, max_prompt_tokens)

    def examples(self, lesson: LabelledQuery) -> list[Example]:
        """See `AnswerMethod`: the rows of the first ANCHORS items."""
        asked = self._rows.fitted(lesson.question)
        together = shared([item.id for item in asked.items], lesson.bundles)
        return [self._rows.whole(asked, n, together[n]) for n in range(min(ANCHORS, len(asked.items)))]

    def conversations(self, lesson: LabelledQuery) -> list[list[Message]]:
        """See `AnswerMethod`."""
        raise UsageError("the answer format pairs is no conversation", "use --answer list or --answer labels")

    def learn(self, training: Sequence[Session], validation: Sequence[LabelledQuery], batch: int) -> None:
        """See `AnswerMethod`. Without the student first, from the training sessions; then with it, from the others.

        The student has seen the training sessions, so only what it says of the validation sessions counts.
        """
        if self._prior is None:
            self._learn_prior(training)
        known = [self._rows.fitted(lesson.question) for lesson in validation]
        logits = self._logits(known, batch)
        self._heard = {asked.key: own for asked, own in zip(known, logits, strict=True)}
        flat = np.concatenate([own[np.triu_indices(len(own), 1)] for own in logits])
        self.scale = np.array([flat.mean(), flat.std() + 1e-6], dtype=np.float32)
        seen = [self._pairs(asked.items, own) for asked, own in zip(known, logits, strict=True)]
        truth = [positions(lesson.question.items, lesson.bundles) for lesson in validation]
        self.weights = crf.fit(seen, truth, self._prior, PRIOR_PRECISION)

    def _learn_prior(self, training: Sequence[Session]) -> None:
        if self.use_evidence:
            self.evidence, pairs = pair_features.fit(self.embedder, training)
        else:
            pairs = [np.zeros((len(s.items), len(s.items), 0), dtype=np.float32) for s in training]
        weights = crf.fit(pairs, [positions(s.items, s.truth or []) for s in training])
        kinds = pairs[0].shape[2]
        self._prior = np.insert(weights, [kinds, 2 * kinds], 0.0)  # the student is the last kind of evidence

    def decide(self, questions: Sequence[Query], batch: int) -> list[Decision]:
        """See `AnswerMethod`."""
        return self.vote([[question] for question in questions], batch)

    def vote(self, polls: Sequence[Sequence[Query]], batch: int) -> list[Decision]:
        """See `AnswerMethod`: the mean log odds of a poll are decoded; KdbError where nothing was learnt."""
        if self.weights is None:
            raise KdbError("the answer format pairs has learnt nothing yet", "use an adapter, or pass --kb")
        known = [self._rows.fitted(question) for poll in polls for question in poll]
        new = [asked for asked in known if asked.key not in self._heard]
        heard = self._heard | {a.key: own for a, own in zip(new, self._logits(new, batch), strict=True)}
        rest = iter(known)
        asked = [[next(rest) for _ in poll] for poll in polls]
        return [self._decision(own, [heard[one.key] for one in own]) for own in asked]

    def _decision(self, poll: Sequence[EncodedQuery], heard: Sequence[Floats]) -> Decision:
        asked, items = poll[0], poll[0].items
        usage = Usage(prompt_tokens=sum(self._rows.tokens(one) for one in poll))
        logits = np.mean([reorder(one, own, asked) for one, own in zip(poll, heard, strict=True)], axis=0)
        assert self.weights is not None
        decoded = mbr.decode(self._pairs(items, logits), self.weights, self.objective)
        bundles = [Bundle([items[n].id for n in own.positions], probability=own.probability) for own in decoded]
        upper = logits[np.triu_indices(len(items), 1)]
        raw = " ".join(f"{value:.2f}" for value in upper)
        return Decision(bundles, raw=raw, usage=usage, shown=asked.shown, left_out=asked.left_out)

    def _pairs(self, items: Sequence[Item], logits: Floats) -> Floats:
        """All evidence on the pairs, the student's last: (n, n, k)."""
        own = ((logits - self.scale[0]) / self.scale[1])[:, :, None]
        return own if self.evidence is None else np.concatenate([self.evidence.pairs(items), own], -1)

    def _logits(self, sessions: Sequence[EncodedQuery], batch: int) -> list[Floats]:
        """The log odds that two items share a bundle, the mean over both anchors: (n, n) a session."""
        found = log_odds(self.student, self._rows, sessions, batch)
        return [np.asarray((own + own.T) / 2, dtype=np.float32) for own in found]

    def save(self, folder: Path) -> None:
        """See `AnswerMethod`."""
        from safetensors.numpy import save_file

        assert self.weights is not None
        kept: dict[str, NDArray[Any]] = {"weights": self.weights, "scale": self.scale}
        if self.evidence is not None:
            own = self.evidence
            kept |= {"vectors": own.vectors, "memberships": own.category_ids}
            kept |= {"association": own.association, "evidence_scale": own.scale}
        save_file(kept, folder / FILE)

    def read(self, folder: Path) -> None:
        """See `AnswerMethod`."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            kept = load_file(folder / FILE)
        except (OSError, SafetensorError) as error:
            raise KdbError(f"{folder / FILE}: {error}", "train the adapter anew") from None
        self.weights, self.scale = kept["weights"], kept["scale"]
        if self.use_evidence:
            names = ("vectors", "memberships", "association", "evidence_scale")
            self.evidence = PairFeatures(self.embedder, *(kept[name] for name in names))
