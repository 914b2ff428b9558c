"""The method of an answer format, and what its prompts are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdb import prompts, registry
from kdb.errors import KdbError, UsageError
from kdb.student import config as configs
from kdb.student.config import MethodConfig, StudentConfig
from kdb.student.generation_config import GenerationConfig
from kdb.student.methods import ANSWERS
from kdb.student.methods.generation import GenerationMethod
from kdb.student.methods.method import AnswerMethod
from kdb.student.model import Student


def build_method(
    student: Student, config: StudentConfig, generation: GenerationConfig | None = None
) -> AnswerMethod:
    """The method that `config` names; UsageError where there is none, or it cannot do what is asked of it."""
    generation = generation or GenerationConfig()
    answer = answer_class(config.method)
    refuse_sampling(config.method, generation)
    if answer.is_text:
        return GenerationMethod(student, answer(config.method.intents), config, generation)
    method: AnswerMethod = answer(student, config.method, config.context)
    return method


def refuse_sampling(config: MethodConfig, generation: GenerationConfig) -> None:
    """UsageError where answers of a format that is not drawn are to be drawn."""
    if not answer_class(config).can_sample and (generation.temperature or generation.aggregate != "answer"):
        option = "temperature" if generation.temperature else "aggregate"
        raise UsageError(f"{option} has no effect with --answer {config.answer}", "leave out one of them")


def read_config(folder: Path) -> StudentConfig:
    """The configuration of an adapter; KdbError where there is none, or its prompts are not those of this kdb."""
    config = configs.read(folder)
    if config.prompt_hash != prompt_hash(config):
        raise KdbError(f"{folder}: trained with other prompts than this kdb has", "train it anew with kdb train")
    return config


def answer_class(config: MethodConfig) -> Any:
    """The class of the answer format: an `AnswerMethod`, or a `TextFormat` where it `is_text`."""
    return registry.load(ANSWERS, config.answer, "answer format")


def prompt_hash(config: StudentConfig) -> str:
    """A hash of the prompts that a student of this configuration is taught and asked with."""
    method, context = config.method, config.context
    answer = answer_class(method)
    names = list(answer.prompts(method.intents and answer.has_intents))
    if not answer.is_text and context.knowledge:
        names.append("knowledge")
    if context.knowledge and context.demos:
        names.append("demo_thought")
    if context.corrections:
        names.append("demo_correction")
    if method.thoughts == "first":
        names.append("answer_after_thought")
    if method.thoughts == "auxiliary":
        names += ["student_thought", "session"]
    return prompts.template_hash(*names)
