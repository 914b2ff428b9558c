"""The training loop of pair learners: cross-entropy averaged over the pairs of a session, then over sessions.

Sessions count by their weights.

The encoder's weights may be in bf16: they are updated in fp32 ("master weights", Micikevicius et al., arXiv
1710.03740), for in bf16 alone small updates would round away.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kdb import console
from kdb.errors import KdbError
from kdb.student.pairwise.learner import BATCH, LogOdds, PairLearner, Titles

if TYPE_CHECKING:
    import torch

HEAD_LEARNING_RATE = 1e-3
WARMUP = 0.05
MAX_NORM = 1.0
FIRST = 32
"""The head begins with the mean and spread of the states of so many sessions."""
STRETCH = 8
"""Sessions are grouped by length within so many batches."""


@dataclass
class PairTargets:
    """What a learner is taught: sessions of two or more titles, (n, n) targets between 0 and 1, and weights.

    A target is the probability that two items share a bundle; a session's loss is multiplied by its weight.
    """

    titles: Sequence[Titles]
    targets: Sequence[LogOdds]
    weights: Sequence[float]

    def subset(self, numbers: Sequence[int]) -> PairTargets:
        """Those of some sessions, by their numbers."""
        return PairTargets(
            [self.titles[n] for n in numbers],
            [self.targets[n] for n in numbers],
            [self.weights[n] for n in numbers],
        )


@dataclass
class FitSettings:
    """How long and how fast; 0 stands for the learner's own value. `steps`, if not 0, goes before `epochs`."""

    epochs: float = 0
    steps: int = 0
    learning_rate: float = 0
    seed: int = 0


@dataclass
class Maker:
    """How a learner is made, and how it is trained.

    `identity` holds what else shapes its weights; with it they are kept in the cache for all runs, else only in the
    folder of one run.
    """

    make: Callable[[], PairLearner]
    settings: FitSettings = field(default_factory=FitSettings)
    identity: dict[str, str] = field(default_factory=dict)


@dataclass
class FitReport:
    """What was measured: the mean loss of each epoch in nats a pair, tokens read, seconds."""

    losses: list[float] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0


def fit(learner: PairLearner, taught: PairTargets, settings: FitSettings, note: str = "") -> FitReport:
    """Train a learner, by soft targets where they are between 0 and 1 (Hinton et al., arXiv 1503.02531).

    The order of items is drawn anew each epoch. Deterministic in the seed. KdbError where the loss is no number.
    """
    import torch
    from transformers import get_cosine_schedule_with_warmup

    sessions = taught.titles
    _initialise(learner, taught)
    weights = {**learner.encoder_weights(), **dict(learner.head.layers.named_parameters())}
    masters = {name: w if w.dtype == torch.float32 else w.detach().float() for name, w in weights.items()}
    encoder, head = _split(masters, len(learner.encoder_weights()))
    rate = settings.learning_rate or learner.learning_rate
    groups = [{"params": encoder, "lr": rate}, {"params": head, "lr": HEAD_LEARNING_RATE}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0)
    per_epoch = math.ceil(len(sessions) / BATCH)
    total = settings.steps or max(1, round((settings.epochs or learner.epochs) * per_epoch))
    schedule = get_cosine_schedule_with_warmup(optimiser, max(1, round(WARMUP * total)), total)
    report, losses = FitReport(), []
    began = time.monotonic()
    torch.manual_seed(settings.seed)
    learner.set_training(True)
    for batch in console.track(_batches(learner, sessions, total, settings.seed), note, total):
        loss = _loss(learner, taught, batch)
        for weight in weights.values():
            weight.grad = None
        loss.backward()
        _copy_gradients(weights, masters)
        torch.nn.utils.clip_grad_norm_(masters.values(), MAX_NORM)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for name, weight in weights.items():
                if weight is not masters[name]:
                    weight.copy_(masters[name])
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise KdbError(f"the loss is {losses[-1]} at step {len(losses)}", "lower --learning-rate")
        report.tokens += sum(learner.length(sessions[n]) for n, _ in batch)
    report.losses = [float(np.mean(losses[n : n + per_epoch])) for n in range(0, total, per_epoch)]
    report.steps, report.seconds = total, time.monotonic() - began
    learner.set_training(False)
    return report


def _initialise(learner: PairLearner, taught: PairTargets) -> None:
    """Fit the head to what the encoder says before training of the first sessions."""
    import torch

    known = slice(0, FIRST)
    learner.set_training(False)
    with torch.no_grad():
        states = torch.cat(learner.states(taught.titles[known]))
    pairs = np.concatenate([own[np.triu_indices(len(own), 1)] for own in taught.targets[known]])
    learner.head.initialise(states, float(np.clip(pairs.mean(), 0.05, 0.95)))


Ordered = tuple[int, list[int]]
"""A session by its number, and an order of its items."""


def _batches(learner: PairLearner, sessions: Sequence[Titles], total: int, seed: int) -> Iterator[list[Ordered]]:
    """`total` batches of sessions of like length, each with an order of its items, epoch after epoch."""
    rng = random.Random(seed)
    lengths = [learner.length(titles) for titles in sessions]
    done = 0
    while done < total:
        order = list(range(len(sessions)))
        rng.shuffle(order)
        batches: list[list[int]] = []
        for start in range(0, len(order), STRETCH * BATCH):
            part = sorted(order[start : start + STRETCH * BATCH], key=lambda n: lengths[n])
            batches += [part[n : n + BATCH] for n in range(0, len(part), BATCH)]
        rng.shuffle(batches)
        for batch in batches[: total - done]:
            yield [(n, rng.sample(range(len(sessions[n])), len(sessions[n]))) for n in batch]
        done += len(batches)


def _loss(learner: PairLearner, taught: PairTargets, batch: Sequence[Ordered]) -> torch.Tensor:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    states = learner.states([[taught.titles[n][i] for i in order] for n, order in batch])
    losses = []
    for (n, order), own in zip(batch, states, strict=True):
        first, second = np.triu_indices(len(order), 1)
        targets = torch.as_tensor(taught.targets[n][np.ix_(order, order)][first, second], device=own.device)
        loss = binary_cross_entropy_with_logits(learner.head.log_odds(own, first, second), targets)
        losses.append(taught.weights[n] * loss)
    return torch.stack(losses).mean()


def _split(masters: dict[str, torch.Tensor], count: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    values = list(masters.values())
    return values[:count], values[count:]


def _copy_gradients(weights: dict[str, torch.nn.Parameter], masters: dict[str, torch.Tensor]) -> None:
    for name, weight in weights.items():
        if weight is not masters[name]:
            masters[name].grad = None if weight.grad is None else weight.grad.float()
