"""What a training begins with: the student, its method, and the examples drawn from a record stream."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from kdb import console
from kdb.errors import KdbError
from kdb.io import provenance
from kdb.io.stream import Line
from kdb.prompts import sanitized_text
from kdb.records import Run, Session
from kdb.retrieval.config import ContextConfig
from kdb.retrieval.context import retrieve_context
from kdb.retrieval.knowledge_base import KnowledgeBase, thoughts
from kdb.retrieval.labels import Labels, by_teacher
from kdb.student.config import StudentConfig, settings
from kdb.student.examples import token_ids
from kdb.student.methods.build import build_method, prompt_hash
from kdb.student.methods.method import AnswerMethod
from kdb.student.model import Student, base_hash, load
from kdb.student.training_set import Thoughts, TrainingSet

HELD_OUT = 0.1
"""The share of the training sessions that validates where the stream has no validation sessions."""


@dataclass
class TrainingData:
    """What a stream holds to learn from: sessions to train on and to validate on, knowledge, and its hashes."""

    training: list[Session]
    """Annotated, or with a label (`labels`)."""
    validation: list[Session]
    base: KnowledgeBase
    inputs: dict[str, str]

    @classmethod
    def read(cls, lines: Iterable[Line], seed: int, context: ContextConfig | None = None) -> TrainingData:
        """Read a stream to its end; KdbError where no training session has an annotation or a label."""
        base = KnowledgeBase.read(lines, context)
        training, validation = _split(base, seed)
        inputs = {
            "sessions": provenance.content_hash([training, validation]),
            "knowledge": provenance.content_hash(base.knowledge),
        }
        return cls(training, validation, base, inputs)

    def thoughts(self, config: StudentConfig) -> Thoughts:
        """The thoughts to learn; KdbError where they are asked for and no training session has one."""
        mode = config.method.thoughts
        if mode == "none":
            return {}
        every = thoughts(self.base.of_formats(config.context.formats))
        found = {key: every[key] for s in self.training if (key := s.key) in every}
        if not found:
            raise KdbError(f"--thoughts {mode} needs thoughts about training sessions", "kdb extract thought")
        return found

    @property
    def labels(self) -> Labels:
        """The labels that stand for annotations."""
        return self.base.labels

    def label_facts(self) -> dict[str, Any]:
        """How many labels of each teacher are learnt from, if any, and what validation means then."""
        learnt = [self.labels[key] for session in self.training if (key := session.key) in self.labels]
        by_label = any(session.key in self.labels for session in self.validation)
        return {
            **({"labels": by_teacher(learnt)} if learnt else {}),
            **({"validated_by": "labels"} if by_label else {}),
        }


@dataclass
class TrainingSetup:
    """A student that is to learn by a configuration, and what it learns from."""

    config: StudentConfig
    student: Student
    method: AnswerMethod
    data: TrainingData
    training: TrainingSet
    validation: TrainingSet
    thoughts: dict[str, int]
    """How many thoughts are learnt, and how many of them are cut."""

    def record(self, measured: dict[str, Any], tags: dict[str, str]) -> Run:
        """The `run` record of the training."""
        found = {**settings(self.config), "kb": msgspec.to_builtins(self.data.base.summary)}
        found |= {"tags": tags} if tags else {}
        return Run(
            id=provenance.content_hash([found, self.data.inputs]),
            command="train",
            settings=found,
            seed=self.config.training.seed,
            versions=provenance.versions(),
            inputs=self.data.inputs,
            measured={"sessions": len(self.data.training), **self.data.label_facts(), **self.thoughts, **measured},
        )


def prepare(data: TrainingData, config: StudentConfig, device: str) -> TrainingSetup:
    """Load the student; the configuration gets the hashes of its weights and prompts, and the limit on thoughts."""
    known = KnowledgeBase(data.training, [], data.base.knowledge, dict(data.labels))
    learnt = data.thoughts(config)
    if learnt:
        console.say(f"{len(learnt)} of {len(data.training)} training sessions have a thought")
    student = load(
        config.student, precision=config.training.precision, device=device, load_in_4bit=config.load_in_4bit
    )
    counts = _limit_thoughts(student, config, learnt)
    config.base, config.prompt_hash = base_hash(config.student), prompt_hash(config)
    method = build_method(student, config)
    config.training.num_train_epochs = config.training.num_train_epochs or method.epochs

    def examples(sessions: list[Session]) -> TrainingSet:
        contexts = retrieve_context(known, config.context, sessions)
        return TrainingSet(student, method, config, sessions, contexts, learnt, data.labels)

    return TrainingSetup(config, student, method, data, examples(data.training), examples(data.validation), counts)


def _split(base: KnowledgeBase, seed: int) -> tuple[list[Session], list[Session]]:
    """The sessions to train on and to validate on; a part of the former is held out where there are none."""
    training, validation = [s for s in base.training if len(s.items) > 1], base.validation
    if not training:
        raise KdbError(
            "no training session in the input has an annotation or a label to learn from",
            "kdb import DATA --split train,validation, or kdb extract label",
        )
    if labelled := [session for session in training if session.key in base.labels]:
        console.say(
            f"{len(training) - len(labelled)} training sessions are annotated, {len(labelled)} have a label"
        )
    if not validation:
        annotated = [n for n, session in enumerate(training) if session.key not in base.labels]
        pool = annotated if len(annotated) > 1 else list(range(len(training)))
        count = min(len(pool) - 1, max(1, round(HELD_OUT * len(pool))))
        held = set(random.Random(f"{seed}:held-out").sample(pool, count))
        validation = [s for n, s in enumerate(training) if n in held]
        training = [s for n, s in enumerate(training) if n not in held]
        console.warn(f"no validation sessions: {count} training sessions are held out to choose the best epoch")
    return training, validation


def _limit_thoughts(student: Student, config: StudentConfig, learnt: Thoughts) -> dict[str, int]:
    """Set the limit to the longest thought where there is none, and count what a limit cuts."""
    if not learnt:
        return {}
    lengths = [len(token_ids(student.tokenizer, sanitized_text(one.text))) for one in learnt.values()]
    config.method.max_thought_tokens = limit = config.method.max_thought_tokens or max(lengths)
    cut = sum(length > limit for length in lengths)
    if cut:
        console.warn(
            f"{cut} of {len(lengths)} thoughts have more than {limit} tokens and are cut: the longest has "
            f"{max(lengths)} (raise max_thought_tokens)"
        )
    return {"thoughts": len(lengths), "thoughts_cut": cut}
