"""Train the second adapter of a student, which writes the intents of bundles."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from kdb import console
from kdb.records import Session
from kdb.retrieval.embedder import open_embedder
from kdb.student import adapter, distributed
from kdb.student.config import StudentConfig
from kdb.student.examples import Example
from kdb.student.intents import FOLDER, intent_examples, neighbours_of
from kdb.student.methods.build import answer_class
from kdb.student.model import load
from kdb.student.setup import TrainingData
from kdb.student.trainer import CHECKPOINT, Trainer, mean_loss
from kdb.student.training_set import thought_example, thought_of

EPOCHS = 2
"""Bundles are fewer than sessions have pairs of items: one pass leaves the adapter untrained."""


def train_intents(data: TrainingData, config: StudentConfig, device: str, part: Path) -> dict[str, Any]:
    """Leave the adapter in a folder of its own in `part`; what was measured, nothing where no bundle has an intent.

    It is trained as `config` says, for EPOCHS, on the same weights as the first adapter and not on top of it. Where
    the first adapter reads no tokens, this one learns the thoughts too, as a second task.
    """
    student = load(
        config.student, precision=config.training.precision, device=device, load_in_4bit=config.load_in_4bit
    )
    seed, batch_size = config.training.seed, 2 * config.training.per_device_train_batch_size
    neighbours = neighbours_of(open_embedder(config.context.embedder), data.training)

    learnt = {} if answer_class(config.method).has_tokens else data.thoughts(config)

    def examples(sessions: Sequence[Session], epoch: int) -> list[Example]:
        return intent_examples(student, sessions, data.labels, neighbours, seed, epoch)

    def second_task(epoch: int) -> list[Example]:
        rng = random.Random(f"{seed}:thoughts:{epoch}")
        known = [session for session in data.training if session.key in learnt]
        limit = config.method.max_thought_tokens
        return [
            thought_example(student, rng.sample(s.items, len(s.items)), thought_of(s, learnt), limit) for s in known
        ]

    if not neighbours.intents:
        console.say("no training bundle has an intent, so none are learnt")
        return {}
    folder = part / FOLDER
    folder.mkdir(exist_ok=True)
    adapter.attach(student, config.lora, seed)
    trainer = Trainer(student, structs.replace(config.training, num_train_epochs=EPOCHS), folder)
    trainer.resume()
    console.say("training the intents of bundles")
    known = examples(data.validation, 0)
    state = trainer.run(
        lambda epoch: examples(data.training, epoch) + second_task(epoch),
        (lambda: {"loss": mean_loss(student, known, batch_size)}) if known else None,
    )
    if distributed.is_main():
        adapter.write(student, trainer.weights(), folder)
        neighbours.save(folder)
        for name in ("README.md", CHECKPOINT):
            (folder / name).unlink(missing_ok=True)
    return {"steps": state.step, "tokens": state.tokens, "losses": state.losses, "validation": state.validation}
