"""The answer format `pairs`: the student reads a session once and compares its items.

Each item has a state (`session_encoder`), two states have log odds to share a bundle, and the partition model
decodes them together with what needs no student (`kdb.student.pairwise.stack`). Nothing is written, so nothing can
be invalid.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from kdb.errors import KdbError, UsageError
from kdb.partitions import mbr
from kdb.prompts.messages import Query
from kdb.records import Bundle, Prediction, Usage
from kdb.retrieval.config import ContextConfig
from kdb.retrieval.embedder import open_embedder
from kdb.student.config import MethodConfig
from kdb.student.examples import Example
from kdb.student.methods.method import AnswerMethod, prediction
from kdb.student.model import Student
from kdb.student.pairwise import stack
from kdb.student.pairwise.learner import PairLearner
from kdb.student.pairwise.session_encoder import PROMPT, SessionEncoder
from kdb.student.pairwise.stack import Floats, PairStack
from kdb.student.pairwise.title_encoder import TitleEncoder

STUDENT, EMBEDDER = "student", "embedder"
HEAD = "head.safetensors"
EMBEDDER_WEIGHTS = "embedder.safetensors"


class PairMethod(AnswerMethod[Floats]):
    """Decodes a fitted `PairStack`. It is trained by `kdb.stages.train_pairs`, not on answer tokens."""

    epochs = SessionEncoder.epochs
    has_tokens = False
    served_as = "states"

    def __init__(
        self,
        student: Student | None,
        config: MethodConfig,
        context: ContextConfig,
        encoder: SessionEncoder | None = None,
    ) -> None:
        """Reads with `encoder`, if one is given, in place of `student`."""
        if config.thoughts == "first":
            raise UsageError(
                "the answer format pairs writes nothing, so no thought",
                "use --thoughts auxiliary, or --answer list",
            )
        if context.demos or context.knowledge:
            raise UsageError(
                "the answer format pairs reads titles only",
                "leave out --demos and --knowledge, or --answer pair-prompts",
            )
        self.student, self.config, self.encoder = student, config, encoder
        self.embedder = open_embedder(context.embedder)
        self.stack: PairStack | None = None

    @property
    def learners(self) -> Collection[PairLearner]:
        """Those that have a weight."""
        return self.stack.learners.values() if self.stack else ()

    @classmethod
    def prompts(cls, intents: bool) -> list[str]:
        """The names of the prompts that such a student is asked with."""
        return [PROMPT]

    def examples(self, query: Query) -> list[Example]:
        """See `AnswerMethod`."""
        raise UsageError(
            "the answer format pairs has no answer tokens", "use --answer pair-prompts, list or labels"
        )

    def read(self, queries: Sequence[Query], batch_size: int) -> list[Floats]:
        """See `AnswerMethod`: the features of all pairs, (n, n, k); KdbError where nothing was fitted."""
        if self.stack is None:
            raise KdbError(
                "the answer format pairs has learnt nothing yet", "pass --adapter, or --answer pair-prompts"
            )
        return self.stack.pairs([query.items for query in queries])

    def decode(self, queries: Sequence[Query], outputs: Sequence[Floats]) -> Prediction:
        """See `AnswerMethod`: the mean over the orders of a session's items is decoded."""
        assert self.stack is not None
        items = queries[0].items[: len(outputs[0])]
        if len(items) < len(queries[0].items):
            queries, outputs = queries[:1], outputs[:1]  # each order leaves out other items
        place = {item.id: n for n, item in enumerate(items)}
        same = []
        for query, own in zip(queries, outputs, strict=True):
            order = np.argsort([place[item.id] for item in query.items[: len(items)]])
            same.append(own[np.ix_(order, order)])
        pairs = np.mean(same, axis=0)
        decoded = mbr.decode(pairs, self.stack.weights, self.config.utility)
        calibrated = self.stack.calibrate
        tokens = sum(self.stack.length([item.title for item in query.items[: len(items)]]) for query in queries)
        return prediction(
            queries[0],
            [
                Bundle([items[n].id for n in own.positions], probability=calibrated(own.probability))
                for own in decoded
            ],
            raw=" ".join(f"{value:.2f}" for value in self.stack.log_odds(STUDENT, pairs)),
            usage=Usage(prompt_tokens=tokens),
        )

    def save(self, folder: Path) -> None:
        """See `AnswerMethod`: the head, the embedder if it is read, and what was fitted."""
        assert self.stack is not None
        self.stack.save(folder)
        student = self.stack.learners.get(STUDENT)
        if isinstance(student, SessionEncoder):
            student.save_head(folder / HEAD)
        if EMBEDDER in self.stack.learners:
            self.stack.learners[EMBEDDER].save(folder / EMBEDDER_WEIGHTS)

    def load(self, folder: Path) -> None:
        """See `AnswerMethod`."""

        def learner(name: str) -> PairLearner:
            if name == STUDENT:
                found = self.encoder or self._session_encoder()
                found.load_head(folder / HEAD)
                return found
            device = str(self.student.device) if self.student else "cpu"
            embedder = TitleEncoder(self.embedder.name, device=device)
            embedder.load(folder / EMBEDDER_WEIGHTS)
            return embedder

        self.stack = stack.read(folder, self.embedder, learner, self.config.pair_features)

    def _session_encoder(self) -> SessionEncoder:
        assert self.student is not None
        layers, normalised = self.config.encoder_layers, self.config.normalised_states
        return SessionEncoder(self.student, layers=layers, normalised=normalised)
