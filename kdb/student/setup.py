"""What a training begins with: the student, its rule, and the lessons drawn from a record stream."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from kdb import console, provenance
from kdb.errors import KdbError
from kdb.prompts.messages import prompt_hash
from kdb.records import Run, Session
from kdb.retrieval.context import retrieve_context
from kdb.retrieval.knowledge_base import KnowledgeBase, thoughts
from kdb.retrieval.knowledge_base_summary import KnowledgeBaseSummary
from kdb.stream import Line
from kdb.student.config import StudentConfig
from kdb.student.methods.build import InferenceConfig, build_method
from kdb.student.methods.method import AnswerMethod
from kdb.student.model import Student, load
from kdb.student.training_set import Thoughts, TrainingSet

HELD_OUT = 0.1
"""The share of the training sessions that validates where the stream has no validation sessions."""


@dataclass
class TrainingSetup:
    """A student that is to learn by a recipe, and its lessons."""

    recipe: StudentConfig
    student: Student
    rule: AnswerMethod
    training: TrainingSet
    validation: TrainingSet
    summary: KnowledgeBaseSummary
    inputs: dict[str, str]

    def record(self, measured: dict[str, Any]) -> Run:
        """The `run` record of the training."""
        settings = {**msgspec.to_builtins(self.recipe), "kb": msgspec.to_builtins(self.summary)}
        return Run(
            id=provenance.content_hash([settings, self.inputs]),
            command="train",
            settings=settings,
            seed=self.recipe.training.seed,
            versions=provenance.versions(),
            inputs=self.inputs,
            measured={"sessions": len(self.training.sessions), **measured},
        )


def prepare(lines: Iterable[Line], recipe: StudentConfig, device: str, max_prompt_tokens: int) -> TrainingSetup:
    """Read the stream to its end and load the student; the recipe gets the hash of its prompts."""
    base = KnowledgeBase.read(lines)
    training, validation = _split(base, recipe.training.seed)
    known = KnowledgeBase(training, [], base.knowledge)
    learnt = _thoughts(base, recipe, training)
    how = recipe.training.precision
    student = load(recipe.student, precision=how, device=device, load_in_4bit=recipe.load_in_4bit)
    rule = build_method(student, recipe, InferenceConfig(max_prompt_tokens))
    recipe.prompt = prompt_hash(recipe)

    def lessons(sessions: list[Session]) -> TrainingSet:
        return TrainingSet(student, rule, recipe, sessions, retrieve_context(known, recipe, sessions), learnt)

    inputs = {
        "sessions": provenance.content_hash([training, validation]),
        "knowledge": provenance.content_hash([k.id for k in base.knowledge]),
    }
    return TrainingSetup(recipe, student, rule, lessons(training), lessons(validation), base.summary, inputs)


def _split(base: KnowledgeBase, seed: int) -> tuple[list[Session], list[Session]]:
    """The sessions to train on and to validate on; a part of the former is held out where there are none."""
    training, validation = [s for s in base.training if len(s.items) > 1], base.validation
    if not training:
        raise KdbError("no annotated training session in the input", "kdb import DATA --split train,validation")
    if not validation:
        count = min(len(training) - 1, max(1, round(HELD_OUT * len(training))))
        held = set(random.Random(f"{seed}:held-out").sample(range(len(training)), count))
        validation = [s for n, s in enumerate(training) if n in held]
        training = [s for n, s in enumerate(training) if n not in held]
        console.warn(f"no validation sessions: {count} training sessions are held out to choose the best epoch")
    return training, validation


def _thoughts(base: KnowledgeBase, recipe: StudentConfig, training: list[Session]) -> Thoughts:
    """The thoughts to learn; KdbError where the target asks for thoughts and no training session has one."""
    if recipe.target == "answer":
        return {}
    found = thoughts(base.of_formats(recipe.formats))
    known = sum(session.key in found for session in training)
    if not known:
        raise KdbError(f"--target {recipe.target} needs thoughts about training sessions", "kdb extract thought")
    console.say(f"{known} of {len(training)} training sessions have a thought")
    return found
