"""Train an adapter on the training sessions of a record stream."""

from __future__ import annotations

import dataclasses
import resource
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from kdb import console
from kdb.errors import UsageError
from kdb.evaluation.matched_session import matched_f1
from kdb.records import Run
from kdb.stream import Line
from kdb.student import adapter, distributed, router
from kdb.student import config as recipes
from kdb.student.config import StudentConfig
from kdb.student.methods.method import AnswerMethod
from kdb.student.model import Student
from kdb.student.setup import TrainingSetup, prepare
from kdb.student.trainer import CHECKPOINT, Trainer, TrainerState, mean_loss
from kdb.student.training_set import TrainingSet

SETTINGS = "settings.json"


class Settings(Struct):
    """What a run was begun with; it goes on only with the same."""

    recipe: StudentConfig = field(default_factory=StudentConfig)
    inputs: dict[str, str] = {}


@dataclass
class TrainOptions:
    """What does not shape the adapter: where it goes, and how it is run."""

    folder: Path
    experts: list[Path] = dataclasses.field(default_factory=list)
    device: str = ""
    resume: bool = False
    force: bool = False
    max_prompt_tokens: int = 2048


def run(lines: Iterable[Line], recipe: StudentConfig, options: TrainOptions) -> Run | None:
    """Train by `recipe` and leave the adapter in `options.folder`; returns the `run` record.

    All work is done in `FOLDER.part`, which `resume` goes on with and which becomes FOLDER at the end. Of several
    processes (see `processes`) only the first writes and has a record.
    """
    part = _working_folder(options)
    with distributed.process_group(options.device) as device:
        recipe.training.processes = distributed.broadcast(_processes(part, options.resume))
        course = prepare(lines, recipe, device, options.max_prompt_tokens)
        if options.experts:
            course.student.model = router.attach(course.student.model, options.experts)
        else:
            adapter.attach(course.student, recipe.lora, recipe.training.seed)
        if distributed.first():
            _same_run(part, Settings(recipe, course.inputs), options.resume)
        trainer = Trainer(course.student, recipe.training, part)
        if options.resume and trainer.resume():
            console.say(f"going on from step {trainer.progress.step}")
        _say_start(course, trainer)
        if not distributed.first():
            trainer.run(course.training.examples, None)
            return None
        return _first(course, trainer, options)


def _first(course: TrainingSetup, trainer: Trainer, options: TrainOptions) -> Run:
    """What the first process does: train, validate, write."""
    recipe, rule, student, part = course.recipe, course.rule, course.student, trainer.folder
    learnt = -1

    def learn(epoch: int) -> None:
        nonlocal learnt
        rule.learn(course.training.sessions, course.validation.plain(), 2 * recipe.training.batch)
        learnt = epoch

    def validate() -> dict[str, float]:
        learn(len(trainer.progress.validation))
        return _validate(student, rule, course.validation, recipe.training.batch)

    progress = trainer.run(course.training.examples, validate)
    trainer.use(trainer.weights())
    if learnt != progress.best_epoch:
        learn(progress.best_epoch)
    record = course.record({**_training_facts(student, progress), **_expert_facts(course)})
    card = {
        "sessions": str(len(course.training.sessions)),
        "domains": ", ".join(sorted({s.domain for s in course.training.sessions})),
        "validation": ", ".join(f"{k} {v:.4f}" for k, v in record.measured.get("best", {}).items()) or "none",
    }
    if options.experts:
        router.write(student.model, trainer.weights(), options.experts, part)
    else:
        adapter.write(student, trainer.weights(), part)
    recipes.save(recipe, part)
    adapter.write_card(recipe, part, card)
    rule.save(part)
    (part / adapter.RUN).write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    _finish(part, options)
    return record


def _working_folder(options: TrainOptions) -> Path:
    folder = options.folder
    if folder.exists() and not options.force:
        raise UsageError(f"{folder} exists", "name another folder or pass --force")
    part = folder.with_name(folder.name + ".part")
    if distributed.first():
        if part.exists() and not options.resume:
            shutil.rmtree(part)
        part.mkdir(parents=True, exist_ok=True)
    return part


def _processes(part: Path, resume: bool) -> int:
    """How many processes there are or, where a run goes on, with how many it was begun."""
    file = part / SETTINGS
    if resume and file.exists():
        with suppress(msgspec.DecodeError):  # a file that says nothing is refused later
            return msgspec.json.decode(file.read_bytes(), type=Settings).recipe.training.processes
    return distributed.count()


def _validate(student: Student, rule: AnswerMethod, lessons: TrainingSet, batch: int) -> dict[str, float]:
    """Matched Jaccard F1 and loss on the validation sessions."""
    if not lessons.sessions:
        return {}
    asked = lessons.plain()
    decisions = rule.decide([lesson.question for lesson in asked], 2 * batch)
    scores = [
        matched_f1([b.items for b in d.bundles], [b.items for b in lesson.bundles])
        for d, lesson in zip(decisions, asked, strict=True)
    ]
    examples = lessons.examples(0)
    return {
        "matched_f1": sum(scores) / len(scores),
        "loss": mean_loss(student, examples, 2 * batch),
    }


def _same_run(part: Path, settings: Settings, resume: bool) -> None:
    """Leave the settings in the working folder, or refuse to go on with other ones."""
    file = part / SETTINGS
    encoded = msgspec.json.encode(settings)
    if resume and file.exists() and file.read_bytes() != encoded:
        raise UsageError(f"{part} was begun with other settings or data", "repeat them, or leave out --resume")
    file.write_bytes(encoded)


def _say_start(course: TrainingSetup, trainer: Trainer) -> None:
    weights = sum(w.numel() for w in trainer.master_weights.values())
    student = course.student
    console.say(
        f"training {weights:,} of {student.parameters:,} weights on {len(course.training.sessions)} sessions, "
        f"{len(course.validation.sessions)} for validation, {student.model.dtype} on {student.device}".replace(
            "torch.", ""
        )
    )


def _training_facts(student: Student, progress: TrainerState) -> dict[str, Any]:
    return {
        "parameters": student.parameters,
        "steps": progress.step,
        "tokens": progress.tokens,
        "seconds": round(progress.seconds, 3),
        "tokens_per_second": round(progress.tokens / max(progress.seconds, 1e-9), 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "losses": progress.losses,
        "validation": progress.validation,
        "best": max(progress.validation, key=lambda r: r.get("matched_f1", 0.0), default={}),
    }


def _expert_facts(course: TrainingSetup) -> dict[str, Any]:
    """The mean weight of each expert over what is asked of the validation sessions."""
    student, recipe = course.student, course.recipe
    if not recipe.experts or not course.validation.sessions:
        return {}
    prompts = [example.prompt for example in course.validation.examples(0)]
    pad, batch = student.tokenizer.pad_token_id, 2 * recipe.training.batch
    found = dict(zip(recipe.experts, router.mean_weights(student.model, prompts, pad, batch), strict=True))
    console.say("mean weights: " + ", ".join(f"{name} {weight:.3f}" for name, weight in found.items()))
    return {"experts": found}


def _finish(part: Path, options: TrainOptions) -> None:
    for name in (CHECKPOINT, SETTINGS):
        (part / name).unlink(missing_ok=True)
    if options.folder.exists():
        shutil.rmtree(options.folder)
    part.replace(options.folder)
