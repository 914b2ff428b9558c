"""Who predicts bundles: a baseline, a student in this process, or one that a server has."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kdb import console, provenance
from kdb.errors import UsageError
from kdb.prompts.messages import LabelledQuery, PromptContext, Query, prompt_hash
from kdb.records import Bundle, KnowledgeFormat, Run, Session
from kdb.retrieval import context
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student import config as recipes
from kdb.student.config import PAIRS, Aggregation, Retrieval, StudentConfig, ThoughtMode
from kdb.student.methods.method import Decision
from kdb.teacher.config import TeacherConfig

Predict = Callable[[Sequence[Session]], list[Decision]]
Decide = Callable[[list[list[Query]], list[str]], list[Decision]]
"""One decision for each poll, which asks about the session of that name."""


@dataclass
class InferOptions:
    """How sessions are asked about; what an adapter's recipe says goes before `answer` to `target`.

    With a `server`, that has the student, and only a recipe of `student` or `adapter` is read.
    """

    student: str
    server: TeacherConfig | None = None
    adapter: Path | None = None
    baseline: str = ""
    name: str = ""
    demos: int | None = None
    knowledge: int | None = None
    formats: list[KnowledgeFormat] | None = None
    neighbours: Retrieval | None = None
    answer: str = "list"
    target: ThoughtMode = "answer"
    intents: bool = True
    free: bool = False
    samples: int = 1
    vote: Aggregation = "answer"
    temperature: float = 0.0
    objective: str = ""
    evidence: bool = True
    batch: int = 16
    max_prompt_tokens: int = 2048
    precision: str = "auto"
    device: str = ""
    seed: int = 0


@dataclass
class Predictor:
    """Something that predicts, the `run` record that says what it is, and what there is to say at the end."""

    run: Run
    predict: Predict
    finish: Callable[[], None] = lambda: None


def build(options: InferOptions, base: KnowledgeBase) -> Predictor:
    """The predictor that the options ask for, its models loaded."""
    if options.baseline:
        return _baseline(options, base)
    return _served(options, base) if options.server else _student(options, base)


def _baseline(options: InferOptions, base: KnowledgeBase) -> Predictor:
    from kdb.predictors import baselines

    known = [*base.training, *base.validation]
    objective = options.objective or "f1"
    model = baselines.build(options.baseline, known, base.knowledge, objective, options.seed)

    def predict(sessions: Sequence[Session]) -> list[Decision]:
        return [Decision([Bundle(list(items)) for items in model.bundles(session)]) for session in sessions]

    settings = {"baseline": options.baseline, "objective": objective}
    return Predictor(_run(settings, options, base, {}), predict)


def _student(options: InferOptions, base: KnowledgeBase) -> Predictor:
    from kdb.student.methods.build import InferenceConfig, build_method
    from kdb.student.model import load, supports_4bit

    taught = recipes.taught(options.student, options.adapter)
    recipe = _recipe(options, taught)
    if recipe.load_in_4bit and not supports_4bit(options.device):
        console.warn("trained on weights in 4 bits, asked with all bits: no bitsandbytes or no CUDA device here")
        recipe.load_in_4bit = False
    student = load(recipe.student, options.adapter, options.precision, options.device, recipe.load_in_4bit)
    serving = InferenceConfig(
        options.max_prompt_tokens, options.free, options.temperature, options.seed, options.vote
    )
    rule = build_method(student, recipe, serving)
    questions = _QueryBuilder(base, recipe)
    if taught:
        rule.read(taught)
    elif base.training and base.validation:
        truth = [session.truth or [] for session in base.validation]
        lessons = [LabelledQuery(q, own) for q, own in zip(questions.about(base.validation), truth, strict=True)]
        rule.learn(base.training, lessons, options.batch)

    settings = {
        **_asking(options, recipe, taught),
        "precision": str(student.model.dtype).removeprefix("torch."),
    }
    measured = {
        "parameters": student.parameters,
        "device": str(student.device),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    predict = _polled(lambda polls, _: rule.vote(polls, options.batch), questions, options)
    return Predictor(_run(settings, options, base, measured), predict)


def _served(options: InferOptions, base: KnowledgeBase) -> Predictor:
    from kdb.predictors.remote_student import RemoteStudent
    from kdb.prompts.answers import text_format
    from kdb.student.methods.generation import GenerationConfig
    from kdb.teacher.client import open_teacher

    assert options.server
    taught = recipes.taught(options.student, options.adapter)
    recipe = _recipe(options, taught)
    recipe.student = options.server.model
    if recipe.answer == PAIRS:
        raise UsageError(
            "the answer format pairs needs a student's probabilities, which servers do not give",
            "ask for --answer list or labels or an adapter trained on one, or leave out --backend",
        )
    writing = GenerationConfig(
        reasoned=recipe.target == "thought+answer",
        free=options.free,
        temperature=options.temperature,
        seed=options.seed,
        vote=options.vote,
    )
    answer = text_format(recipe.answer, recipe.intents)
    student = RemoteStudent(
        open_teacher(options.server), answer, writing, options.max_prompt_tokens, options.server
    )
    settings = {
        **_asking(options, recipe, taught),
        "backend": "endpoint",
        "model": options.server.model,
        "max_tokens": options.server.max_tokens,
    }
    predict = _polled(student.vote, _QueryBuilder(base, recipe), options)
    return Predictor(_run(settings, options, base, {}), predict, student.finish)


class _QueryBuilder:
    """Makes questions of sessions: each with what the recipe wants shown beside it."""

    def __init__(self, base: KnowledgeBase, recipe: StudentConfig) -> None:
        self.retriever = context.build(base, recipe)

    def about(self, sessions: Sequence[Session]) -> list[Query]:
        shown = self.retriever.shown(sessions) if self.retriever else [PromptContext()] * len(sessions)
        return [Query(list(s.items), own) for s, own in zip(sessions, shown, strict=True)]


def _polled(decide: Decide, questions: _QueryBuilder, options: InferOptions) -> Predict:
    """A student that is asked about each session as often as the options say."""
    from kdb.student import aggregation

    def predict(sessions: Sequence[Session]) -> list[Decision]:
        polls = [
            aggregation.permutations(question, options.samples, options.seed)
            for question in questions.about(sessions)
        ]
        return decide(polls, [session.id for session in sessions])

    return predict


def _asking(options: InferOptions, recipe: StudentConfig, taught: Path | None) -> dict[str, Any]:
    """The settings of a student, wherever it is."""
    from kdb.student import adapter

    return {
        **msgspec.to_builtins(recipe),
        "prompt": prompt_hash(recipe),
        "adapter": provenance.file_hash(options.adapter or Path(options.student)) if taught else "",
        "trained": adapter.stamp(taught) if taught else {},
        "free": options.free,
        "max_prompt_tokens": options.max_prompt_tokens,
        "samples": options.samples,
        "vote": options.vote,
        "temperature": options.temperature,
    }


def _recipe(options: InferOptions, taught: Path | None) -> StudentConfig:
    """The recipe that the student was taught by, or one without training; flags that were given go before it."""
    from kdb.student import adapter

    if taught:
        recipe = adapter.read_config(taught)
        recipe.student = recipe.student if options.adapter else options.student
    else:
        recipe = StudentConfig(
            student=options.student,
            answer=options.answer,
            intents=options.intents,
            evidence=options.evidence,
            target=options.target,
        )
    recipe.objective = options.objective or recipe.objective
    for name in ("demos", "knowledge", "formats", "neighbours"):
        if (value := getattr(options, name)) is not None:
            setattr(recipe, name, value)
    return recipe


def _run(settings: dict[str, Any], options: InferOptions, base: KnowledgeBase, measured: dict[str, Any]) -> Run:
    if options.name:
        settings = {"name": options.name, **settings}
    settings = {**settings, "kb": msgspec.to_builtins(base.summary)}
    inputs = {"kb": provenance.content_hash([base.training, base.validation, base.knowledge])}
    return Run(
        id=provenance.content_hash([settings, options.seed, inputs]),
        command="infer",
        settings=settings,
        seed=options.seed,
        versions=provenance.versions(),
        inputs=inputs,
        measured=measured,
    )
