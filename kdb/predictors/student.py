"""A student in this process."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path

from msgspec import structs

from kdb import console
from kdb.predictors.options import InferOptions, student_settings
from kdb.prompts.messages import PromptContext, Query
from kdb.records import Prediction, Session
from kdb.retrieval import context
from kdb.retrieval.config import ContextConfig
from kdb.retrieval.embedder import open_embedder
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.retrieval.labels import trusted
from kdb.student.aggregation import permutations
from kdb.student.config import StudentConfig
from kdb.student.device import supports_4bit
from kdb.student.generation_config import GenerationConfig
from kdb.student.intents import FOLDER, IntentWriter
from kdb.student.methods.build import build_method
from kdb.student.model import Student, base_hash, load
from kdb.student.seen_sessions import SeenSessions


class QueryBuilder:
    """Makes queries of sessions: each with what is to stand beside it, in one order of its items or in several."""

    def __init__(self, base: KnowledgeBase, config: ContextConfig, generation: GenerationConfig) -> None:
        self.retriever = context.build(base, config)
        self.generation = generation

    def contexts(self, sessions: Sequence[Session]) -> list[PromptContext]:
        """What stands beside each session."""
        return self.retriever.shown(sessions) if self.retriever else [PromptContext()] * len(sessions)

    def queries(self, sessions: Sequence[Session]) -> list[list[Query]]:
        """The queries about each session."""
        return [
            permutations(Query(session, own), self.generation.samples, self.generation.seed)
            for session, own in zip(sessions, self.contexts(sessions), strict=True)
        ]


class StudentPredictor:
    """Asks a student, with an adapter or without, and its method for the answer."""

    def __init__(self, options: InferOptions, base: KnowledgeBase) -> None:
        config, folder = structs.replace(options.config), options.metadata
        if config.load_in_4bit and not supports_4bit(options.device):
            console.warn("trained on weights in 4 bits, asked with all bits: no bitsandbytes or no CUDA here")
            config.load_in_4bit = False
        student = load(config.student, options.adapter, options.precision, options.device, config.load_in_4bit)
        config.base = config.base or base_hash(config.student)
        self.batch_size = options.batch_size
        self.method = build_method(student, config, options.generation)
        self.builder = QueryBuilder(base, config.context, options.generation)
        self.gives_probabilities = not self.method.is_text or options.generation.samples > 1
        self.seen, self.fits_kb = SeenSessions.read(folder) if folder else SeenSessions(), False
        if folder:
            self.method.load(folder)
        elif not self.method.is_text and base.training and base.validation:
            queries = [
                Query(session, own)
                for session, own in zip(base.validation, self.builder.contexts(base.validation), strict=True)
            ]
            fitted = [base.training[n] for n in trusted(base.training, base.labels)]
            self.method.fit(fitted, queries, self.method.read(queries, self.batch_size))
            self.seen, self.fits_kb = SeenSessions.of(base.training, base.validation), True
        self.intents = self._intent_writer(student, config, folder)
        self.settings = {
            **student_settings(options, config),
            "precision": str(student.model.dtype).removeprefix("torch."),
        }
        self.measured = {
            "parameters": student.parameters,
            "device": str(student.device),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }

    def predict(self, sessions: Sequence[Session]) -> list[Prediction]:
        """See `Predictor`."""
        found = self.method.predict(self.builder.queries(sessions), self.batch_size)
        return self.intents.fill(sessions, found) if self.intents else found

    def _intent_writer(self, student: Student, config: StudentConfig, folder: Path | None) -> IntentWriter | None:
        """What writes intents, where an adapter for that lies beside the first."""
        wanted = config.method.intents and folder and (folder / FOLDER).is_dir()
        if not (folder and wanted):
            return None
        return IntentWriter(student, folder / FOLDER, self.batch_size, open_embedder(config.context.embedder))

    def close(self) -> None:
        """See `Predictor`."""
