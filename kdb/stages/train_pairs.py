"""Train the answer format `pairs`: cross-fit embedder and student, fit the partition model, write the adapter."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from kdb import console
from kdb.evaluation.matched_session import matched_f1
from kdb.partitions import crf
from kdb.prompts.messages import positions
from kdb.records import Run
from kdb.student import adapter, distributed
from kdb.student import config as configs
from kdb.student.config import StudentConfig
from kdb.student.methods.pairs import EMBEDDER, HEAD, STUDENT, PairMethod
from kdb.student.pairwise import session_encoder, stack, title_encoder
from kdb.student.pairwise.session_encoder import SessionEncoder
from kdb.student.pairwise.stack import StackReport
from kdb.student.pairwise.training import FitSettings, Maker
from kdb.student.seen_sessions import SeenSessions
from kdb.student.setup import TrainingSetup

CROSS_FITTING = "cross_fitting"
"""The folder for what is done already; it goes when all is done (`kdb.stages.train`)."""


def train_pairs(
    setup: TrainingSetup, device: str, part: Path, tags: dict[str, str], machine: dict[str, str]
) -> Run | None:
    """Train in the working folder `part` and leave the adapter there; returns the `run` record.

    Of several processes each trains some folds, and only the main one writes and has a record. Validation sessions
    are reported on; nothing is fitted on them.
    """
    began = time.monotonic()
    config, method = setup.config, setup.method
    assert isinstance(method, PairMethod)
    sessions = setup.training.sessions
    validation = len(setup.validation.sessions)
    console.say(f"training on {len(sessions)} sessions, {validation} for validation, on {device or 'cpu'}")
    method.stack, report = stack.fit(
        method.embedder,
        sessions,
        makers(config, device),
        part / CROSS_FITTING,
        config.method.pair_features,
        always=(STUDENT,),
        utility=config.method.utility,
        labels=setup.data.labels,
    )
    if not distributed.is_main():
        return None
    student = report.trained[STUDENT]
    assert isinstance(student, SessionEncoder)
    best = _validate(setup, method)
    facts = {**_facts(report, student, began), **machine, "best": best, "validation": [best] if best else []}
    record = setup.record(facts, tags)
    _write(setup, method, student, record, part)
    return record


def makers(config: StudentConfig, device: str) -> dict[str, Maker]:
    """How the learners of a configuration are made; the embedder first, because it needs no language model."""
    training = config.training
    seed, steps = training.seed, training.max_steps
    settings = FitSettings(training.num_train_epochs, steps, training.learning_rate, seed)
    return {
        EMBEDDER: title_encoder.maker(config.context.embedder, FitSettings(steps=steps, seed=seed), device),
        STUDENT: session_encoder.maker(
            config.student, config.lora, settings, config.method, training.precision, device, config.load_in_4bit
        ),
    }


def _validate(setup: TrainingSetup, method: PairMethod) -> dict[str, float]:
    """Matched F1 on the validation sessions, and the cross-entropy of their pairs."""
    queries = setup.validation.queries()
    if not queries:
        return {}
    pairs = method.read(queries, 0)
    scores, losses = [], []
    for query, own in zip(queries, pairs, strict=True):
        found = method.decode([query], [own])
        scores.append(matched_f1([b.items for b in found.bundles], [b.items for b in found.truth or []]))
        session = stack.cut(query.session)
        if len(own) > 1:
            assert method.stack is not None
            places = np.triu_indices(len(own), 1)
            p = np.clip(crf.distribution(own, method.stack.weights).pairs()[places], 1e-4, 1 - 1e-4)
            together = stack.together(len(own), positions(session.items, session.truth or []))[places]
            losses.append(float(-np.mean(np.log(np.where(together > 0, p, 1 - p)))))
    result = {"matched_f1": float(np.mean(scores)), "loss": float(np.mean(losses or [0.0]))}
    console.say("validation " + ", ".join(f"{name} {value:.4f}" for name, value in result.items()))
    return result


def _facts(report: StackReport, student: SessionEncoder, began: float) -> dict[str, Any]:
    trainings = report.trainings.values()
    seconds = time.monotonic() - began
    own = report.trainings.get(STUDENT)
    return {
        "parameters": student.student.parameters,
        "steps": sum(one.steps for one in trainings),
        "tokens": sum(one.tokens for one in trainings),
        "seconds": round(seconds, 3),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "losses": own.losses if own else [],
        "held_out_losses": report.held_out,
        "fitted_to": report.fitted_to,
        "gains": {name: [gain.mean, gain.standard_error] for name, gain in report.gains.items()},
    }


def _write(setup: TrainingSetup, method: PairMethod, student: SessionEncoder, record: Run, part: Path) -> None:
    """Write the adapter, the learners' weights, the configuration and card, and the `run` record."""
    best = record.measured.get("best", {})
    card = {
        "sessions": str(len(setup.training.sessions)),
        "domains": ", ".join(sorted({s.domain for s in setup.training.sessions})),
        "validation": ", ".join(f"{name} {value:.4f}" for name, value in best.items()) or "none",
    }
    adapter.write(student.student, {n: w.detach().float() for n, w in student.encoder_weights().items()}, part)
    student.save_head(part / HEAD)
    method.save(part)
    configs.save(setup.config, part)
    SeenSessions.of(setup.training.sessions, []).save(part)
    adapter.write_card(setup.config, part, card)
