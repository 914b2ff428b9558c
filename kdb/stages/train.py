"""Train an adapter on the training sessions of a record stream."""

from __future__ import annotations

import random
import resource
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kdb import console, metrics, provenance
from kdb.conversation import Shown
from kdb.errors import KdbError, UsageError
from kdb.holdings import Holdings
from kdb.knowledge_base import KnowledgeBase, Retriever
from kdb.recipe import Recipe
from kdb.records import Run, Session
from kdb.stream import Line
from kdb.student import adapter
from kdb.student.decision import Question, Rule
from kdb.student.examples import Example
from kdb.student.model import Student, load
from kdb.student.rules import build_rule
from kdb.student.training import Progress, Trainer, mean_loss

HELD_OUT = 0.1
"""The share of the training sessions that validates where the stream has no validation sessions."""


@dataclass
class TrainOptions:
    """What does not shape the adapter: where it goes, and how it is run."""

    folder: Path
    device: str = ""
    resume: bool = False
    force: bool = False
    max_prompt_tokens: int = 2048


class Lessons:
    """The sessions as training examples and as questions, in an item order drawn anew each epoch."""

    def __init__(self, rule: Rule, retriever: Retriever | None, sessions: Sequence[Session], seed: int) -> None:
        self.rule, self.sessions, self.seed = rule, sessions, seed
        self.shown = retriever.shown(sessions) if retriever else None

    def examples(self, epoch: int) -> list[Example]:
        """All examples of an epoch; a function of the seed and the epoch alone."""
        rng = random.Random(f"{self.seed}:items:{epoch}")
        found: list[Example] = []
        for session, question in zip(self.sessions, self.questions(), strict=True):
            rng.shuffle(question.items)
            found += self.rule.examples(question, session.truth or [])
        return found

    def questions(self) -> list[Question]:
        """The sessions as they are asked about, items in the order of the session."""
        shown = self.shown or [Shown()] * len(self.sessions)
        pairs = zip(self.sessions, shown, strict=True)
        return [Question(list(session.items), beside) for session, beside in pairs]


def run(lines: Iterable[Line], recipe: Recipe, options: TrainOptions) -> Run:
    """Train by `recipe` and leave the adapter in `options.folder`; returns the `run` record.

    All work is done in `FOLDER.part`, which `resume` goes on with and which becomes FOLDER at the end.
    """
    part = _working_folder(options)
    base = KnowledgeBase.read(lines)
    training, validation = _split(base, recipe.training.seed)
    student = load(recipe.student, precision=recipe.training.precision, device=options.device)
    adapter.attach(student, recipe.lora, recipe.training.seed)
    rule = build_rule(student, recipe, options.max_prompt_tokens)
    recipe.prompt = rule.prompt
    inputs = {"sessions": provenance.content_hash([training, validation]), "knowledge": _hash(base)}
    _same_run(part, recipe, inputs, options.resume)
    retriever = _retriever(base, training, recipe)
    lessons = Lessons(rule, retriever, training, recipe.training.seed)
    trainer = Trainer(student, recipe.training, part)
    if options.resume and trainer.resume():
        console.say(f"going on from step {trainer.progress.step}")
    _say_start(student, training, validation, trainer)
    check = Lessons(rule, retriever, validation, recipe.training.seed)

    learnt = -1

    def learn(epoch: int) -> None:
        nonlocal learnt
        rule.learn(training, validation, 2 * recipe.training.batch)
        learnt = epoch

    def validate() -> dict[str, float]:
        learn(len(trainer.progress.validation))
        return _validate(student, rule, check, recipe.training.batch)

    progress = trainer.run(lessons.examples, validate)
    trainer.use(trainer.weights())
    if learnt != progress.best_epoch:
        learn(progress.best_epoch)
    record = _record(student, recipe, base.holdings, inputs, progress, len(training))
    card = {
        "sessions": str(len(training)),
        "domains": ", ".join(sorted({s.domain for s in training})),
        "validation": ", ".join(f"{k} {v:.4f}" for k, v in record.measured.get("best", {}).items()) or "none",
    }
    adapter.write(student, trainer.weights(), recipe, part, card)
    rule.save(part)
    (part / adapter.RUN).write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    _finish(part, options)
    return record


def _working_folder(options: TrainOptions) -> Path:
    folder = options.folder
    if folder.exists() and not options.force:
        raise UsageError(f"{folder} exists", "name another folder or pass --force")
    part = folder.with_name(folder.name + ".part")
    if part.exists() and not options.resume:
        shutil.rmtree(part)
    part.mkdir(parents=True, exist_ok=True)
    return part


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


def _retriever(base: KnowledgeBase, training: list[Session], recipe: Recipe) -> Retriever | None:
    if not (recipe.demos or recipe.knowledge):
        return None
    from kdb.embed import Embedder

    known = KnowledgeBase(training, [], base.knowledge)
    return Retriever(known, Embedder(), recipe.demos, recipe.knowledge)


def _validate(student: Student, rule: Rule, lessons: Lessons, batch: int) -> dict[str, float]:
    """Matched Jaccard F1 and loss on the validation sessions."""
    if not lessons.sessions:
        return {}
    questions = lessons.questions()
    decisions = rule.decide(questions, 2 * batch)
    scores = [
        metrics.matched_f1([b.items for b in d.bundles], [b.items for b in session.truth or []])
        for d, session in zip(decisions, lessons.sessions, strict=True)
    ]
    examples = lessons.examples(0)
    return {
        "matched_f1": sum(scores) / len(scores),
        "loss": mean_loss(student, examples, 2 * batch),
    }


def _same_run(part: Path, recipe: Recipe, inputs: dict[str, str], resume: bool) -> None:
    """Leave the settings in the working folder, or refuse to go on with other ones."""
    file = part / "settings.json"
    settings = msgspec.json.encode({"recipe": recipe, "inputs": inputs})
    if resume and file.exists() and file.read_bytes() != settings:
        raise UsageError(f"{part} was begun with other settings or data", "repeat them, or leave out --resume")
    file.write_bytes(settings)


def _say_start(student: Student, training: list[Session], validation: list[Session], trainer: Trainer) -> None:
    weights = sum(w.numel() for w in trainer.masters.values())
    console.say(
        f"training {weights:,} of {student.parameters:,} weights on {len(training)} sessions, "
        f"{len(validation)} for validation, {student.model.dtype} on {student.device}".replace("torch.", "")
    )


def _record(
    student: Student,
    recipe: Recipe,
    holdings: Holdings,
    inputs: dict[str, str],
    progress: Progress,
    sessions: int,
) -> Run:
    settings = {**msgspec.to_builtins(recipe), "kb": msgspec.to_builtins(holdings)}
    measured = {
        "sessions": sessions,
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
    return Run(
        id=provenance.content_hash([settings, inputs]),
        command="train",
        settings=settings,
        seed=recipe.training.seed,
        versions=provenance.versions(),
        inputs=inputs,
        measured=measured,
    )


def _hash(base: KnowledgeBase) -> str:
    return provenance.content_hash([k.id for k in base.knowledge])


def _finish(part: Path, options: TrainOptions) -> None:
    for name in ("checkpoint.pt", "settings.json"):
        (part / name).unlink(missing_ok=True)
    if options.folder.exists():
        shutil.rmtree(options.folder)
    part.replace(options.folder)
