"""Train an adapter on the training sessions of a record stream."""

from __future__ import annotations

import platform
import resource
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from kdb import console
from kdb.errors import UsageError
from kdb.evaluation.matched_session import matched_f1
from kdb.io.files import partial
from kdb.io.stream import Line
from kdb.records import Run
from kdb.retrieval.labels import trusted
from kdb.stages.train_intents import train_intents
from kdb.stages.train_pairs import CROSS_FITTING, train_pairs
from kdb.student import adapter, distributed, router
from kdb.student import config as configs
from kdb.student.config import StudentConfig
from kdb.student.device import device_name
from kdb.student.methods.build import answer_class
from kdb.student.seen_sessions import SeenSessions
from kdb.student.setup import TrainingData, TrainingSetup, prepare
from kdb.student.trainer import CHECKPOINT, Trainer, TrainerState, mean_loss
from kdb.student.working_folder import check_output, working_folder

STATE = "settings.json"


class TrainState(Struct):
    """What a run was begun with; it goes on only with the same."""

    config: StudentConfig
    inputs: dict[str, str] = {}
    machine: dict[str, str] = {}


@dataclass
class TrainOptions:
    """What does not shape the adapter: where it goes, and how it is run."""

    folder: Path
    experts: list[Path] = field(default_factory=list)
    device: str = ""
    resume: bool = False
    force: bool = False
    tags: dict[str, str] = field(default_factory=dict)


def train(lines: Iterable[Line], config: StudentConfig, options: TrainOptions) -> Run | None:
    """Train by `config` and leave the adapter in `options.folder`; returns the `run` record.

    The input is read before anything is written. All work is done in a folder beside the output (`working_folder`),
    which `resume` goes on with and which becomes the output at the end. Of several processes (`distributed`) only
    the main one writes and has a record.
    """
    check_output(options.folder, options.force)
    data = TrainingData.read(lines, config.training.seed, config.context)
    with distributed.process_group(options.device) as device, _working_folder(options) as part:
        record = _train(data, config, options, device, part)
        if config.method.intents and not answer_class(config.method).has_intents and not options.experts:
            measured = train_intents(data, config, device, part)
            if record:
                record.measured["intents"] = measured
        if record:
            _finish(record, part)
        return record


def _train(data: TrainingData, config: StudentConfig, options: TrainOptions, device: str, part: Path) -> Run | None:
    """Train the method that `config` names; in the main process, write all that it needs into `part`."""
    begun = distributed.broadcast(_begun(part) if options.resume and distributed.is_main() else None)
    config.training.world_size = begun.config.training.world_size if begun else distributed.world_size()
    _refuse_thoughts_without_text(config)
    setup = prepare(data, config, device)
    if not setup.method.has_tokens and not options.experts:
        if distributed.is_main():
            _leave_state(part, TrainState(config, data.inputs, _machine(setup)), begun)
        return train_pairs(setup, device, part, options.tags, _machine(setup))
    if options.experts:
        setup.student.model = router.RoutedModel(setup.student.model, options.experts)
    else:
        adapter.attach(setup.student, config.lora, config.training.seed)
    if distributed.is_main():
        _leave_state(part, TrainState(config, data.inputs, _machine(setup)), begun)
    trainer = Trainer(setup.student, config.training, part)
    if options.resume and trainer.resume():
        console.say(f"going on from step {trainer.state.step}")
    _say_start(setup, trainer)
    if not distributed.is_main():
        trainer.run(setup.training.examples, None)
        return None
    state = trainer.run(setup.training.examples, lambda: _validate(setup))
    trainer.load_weights(trainer.weights())
    _fit(setup)
    facts = {**_training_facts(setup, state), **_machine(setup), **_expert_weights(setup)}
    record = setup.record(facts, options.tags)
    _write(setup, trainer, record, options.experts, part)
    return record


def _refuse_thoughts_without_text(config: StudentConfig) -> None:
    """UsageError where thoughts are to be learnt by a student that writes nothing at all."""
    method = config.method
    if method.thoughts == "auxiliary" and not method.intents and not answer_class(method).has_tokens:
        raise UsageError(
            f"with --answer {method.answer} thoughts teach the adapter that writes intents",
            "leave out --no-intents",
        )


def _finish(record: Run, part: Path) -> None:
    """Write the `run` record, and let go of what only a stopped run needs."""
    (part / adapter.RUN).write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    for name in (CHECKPOINT, STATE):
        (part / name).unlink(missing_ok=True)
    if (part / CROSS_FITTING).exists():
        shutil.rmtree(part / CROSS_FITTING)


def _working_folder(options: TrainOptions) -> AbstractContextManager[Path]:
    """Where the work lies; only the main process makes and moves it."""
    if distributed.is_main():
        return working_folder(options.folder, options.resume, options.force)
    return nullcontext(partial(options.folder))


def _begun(part: Path) -> TrainState | None:
    """What the run in a folder was begun with, if there is one."""
    with suppress(FileNotFoundError, msgspec.DecodeError):  # a file that says nothing is refused later
        return msgspec.json.decode((part / STATE).read_bytes(), type=TrainState)
    return None


def _leave_state(part: Path, state: TrainState, begun: TrainState | None) -> None:
    """Leave what this run is in the working folder; UsageError where it holds another one."""
    if begun is None and (part / STATE).exists():
        raise UsageError(f"{part / STATE} cannot be read", "leave out --resume")
    if begun and (begun.config, begun.inputs) != (state.config, state.inputs):
        raise UsageError(f"{part} was begun with other settings or data", "repeat them, or leave out --resume")
    if begun and begun.machine != state.machine:
        console.warn(f"begun on another machine or with other threads ({begun.machine}): last digits will differ")
    (part / STATE).write_bytes(msgspec.json.encode(state))


def _machine(setup: TrainingSetup) -> dict[str, str]:
    """What decides on the last digits of a training."""
    import torch

    model = setup.student.model
    return {
        "device": device_name(model.device),
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
        "precision": str(model.dtype).removeprefix("torch."),
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _fit(setup: TrainingSetup) -> tuple[list[Any], list[Any]]:
    """Let the method learn what it learns beside the weights; the validation queries and what was said to them."""
    queries = setup.validation.queries()
    outputs = setup.method.read(queries, 2 * setup.config.training.per_device_train_batch_size)
    setup.method.fit(
        [setup.data.training[n] for n in trusted(setup.data.training, setup.data.labels)], queries, outputs
    )
    return queries, outputs


def _validate(setup: TrainingSetup) -> dict[str, float]:
    """Matched Jaccard F1 and loss on the validation sessions."""
    queries, outputs = _fit(setup)
    if not queries:
        return {}
    predictions = [setup.method.decode([q], [output]) for q, output in zip(queries, outputs, strict=True)]
    scores = [matched_f1([b.items for b in p.bundles], [b.items for b in p.truth or []]) for p in predictions]
    batch_size = 2 * setup.config.training.per_device_train_batch_size
    loss = mean_loss(setup.student, setup.validation.examples(0), batch_size)
    return {"matched_f1": sum(scores) / len(scores), "loss": loss}


def _say_start(setup: TrainingSetup, trainer: Trainer) -> None:
    weights = sum(w.numel() for w in trainer.master_weights.values())
    student = setup.student
    precision = str(student.model.dtype).removeprefix("torch.")
    console.say(
        f"training {weights:,} of {student.parameters:,} weights on {len(setup.training.sessions)} sessions, "
        f"{len(setup.validation.sessions)} for validation, {precision} on {student.device}"
    )


def _training_facts(setup: TrainingSetup, state: TrainerState) -> dict[str, Any]:
    return {
        "parameters": setup.student.parameters,
        "steps": state.step,
        "tokens": state.tokens,
        "seconds": round(state.seconds, 3),
        "tokens_per_second": round(state.tokens / max(state.seconds, 1e-9), 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "losses": state.losses,
        "validation": state.validation,
        "best": state.validation[state.best_epoch] if state.validation else {},
    }


def _expert_weights(setup: TrainingSetup) -> dict[str, Any]:
    """The mean weight of each expert over what is asked of the validation sessions."""
    student, names = setup.student, list(setup.config.experts)
    if not names or not setup.validation.sessions:
        return {}
    prompts = [example.prompt for example in setup.validation.examples(0)]
    found = dict(zip(names, student.mean_expert_weights(prompts), strict=True))
    console.say("mean weights: " + ", ".join(f"{name} {weight:.3f}" for name, weight in found.items()))
    return {"experts": found}


def _write(setup: TrainingSetup, trainer: Trainer, record: Run, experts: list[Path], part: Path) -> None:
    """Write the adapter, its configuration and card, and what the method learnt."""
    best = record.measured.get("best", {})
    card = {
        "sessions": str(len(setup.training.sessions)),
        "domains": ", ".join(sorted({s.domain for s in setup.training.sessions})),
        "validation": ", ".join(f"{name} {value:.4f}" for name, value in best.items()) or "none",
    }
    if experts:
        router.write(trainer.weights(), experts, part)
    else:
        adapter.write(setup.student, trainer.weights(), part)
    configs.save(setup.config, part)
    adapter.write_card(setup.config, part, card)
    setup.method.save(part)
    SeenSessions.of(setup.training.sessions, setup.validation.sessions).save(part)
