"""Train the second adapter of a student, which writes the intents of bundles."""

from __future__ import annotations

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
from kdb.student.model import load
from kdb.student.setup import TrainingData
from kdb.student.trainer import CHECKPOINT, Trainer, mean_loss

EPOCHS = 2
"""Bundles are fewer than sessions have pairs of items: one pass leaves the adapter untrained."""


def train_intents(data: TrainingData, config: StudentConfig, device: str, part: Path) -> dict[str, Any]:
    """Leave the adapter in a folder of its own in `part`; what was measured, nothing where no bundle has an intent.

    It is trained as `config` says, for EPOCHS, on the same weights as the first adapter and not on top of it.
    """
    student = load(
        config.student, precision=config.training.precision, device=device, load_in_4bit=config.load_in_4bit
    )
    seed, batch_size = config.training.seed, 2 * config.training.per_device_train_batch_size
    neighbours = neighbours_of(open_embedder(config.context.embedder), data.training)

    def examples(sessions: Sequence[Session], epoch: int) -> list[Example]:
        return intent_examples(student, sessions, data.labels, neighbours, seed, epoch)

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
        lambda epoch: examples(data.training, epoch),
        (lambda: {"loss": mean_loss(student, known, batch_size)}) if known else None,
    )
    if distributed.is_main():
        adapter.write(student, trainer.weights(), folder)
        neighbours.save(folder)
        for name in ("README.md", CHECKPOINT):
            (folder / name).unlink(missing_ok=True)
    return {"steps": state.step, "tokens": state.tokens, "losses": state.losses, "validation": state.validation}
