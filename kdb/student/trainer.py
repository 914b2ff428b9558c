"""The training loop: LoRA on answer tokens, validated each epoch, resumable with the same result.

In several processes (`distributed`) each computes its share of a batch; losses and gradients are sums over all.

The adapter computes in the model's precision while its weights are kept in fp32 ("master weights",
Micikevicius et al., arXiv 1710.03740): in bf16 alone small updates would round away.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdb import console
from kdb.errors import KdbError
from kdb.student import distributed
from kdb.student.adapter import Weights, trained
from kdb.student.config import TrainingConfig
from kdb.student.examples import Example, length_grouped_batches
from kdb.student.model import Student, answer_logits

if TYPE_CHECKING:
    import torch

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_SECONDS = 60
TOKENS_AT_ONCE = 4096
"""So many tokens of a batch, padding included, are computed together: memory grows with them, gradients add up."""
EpochExamples = Callable[[int], Sequence[Example]]
Validate = Callable[[], dict[str, float]]


@dataclass
class TrainerState:
    """Where a training stands: all that a checkpoint must hold beside the weights."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    """Mean loss of each epoch, in nats per answer token, added up over tasks."""
    running: tuple[float, int] = (0.0, 0)
    validation: list[dict[str, float]] = field(default_factory=list)
    best: Weights | None = None

    @property
    def best_epoch(self) -> int:
        """The number of the epoch that validated best, the first of several, counted from 0."""
        return max(range(len(self.validation)), key=lambda n: _rank(self.validation[n]), default=0)


class Trainer:
    """Trains the adapter of one student."""

    def __init__(self, student: Student, config: TrainingConfig, folder: Path) -> None:
        import torch

        self.student, self.config, self.folder = student, config, folder
        self.adapter_params = trained(student)
        self.master_weights = {name: p.detach().float().clone() for name, p in self.adapter_params.items()}
        self.optimizer = torch.optim.AdamW(self.master_weights.values(), lr=config.learning_rate, weight_decay=0)
        self.state = TrainerState()
        self.batch_size = config.per_device_train_batch_size * config.world_size
        self._saved_at = time.monotonic()

    def run(self, examples: EpochExamples, validate: Validate | None) -> TrainerState:
        """Train to the end and return what was measured; the best weights by validation are in `best`.

        `examples(epoch)` gives the examples of an epoch and is a function of the epoch alone. `validate()`
        returns `matched_f1` and `loss`, which choose the best epoch in this order.
        """
        per_epoch = math.ceil(len(examples(0)) / (self.batch_size * self.config.gradient_accumulation_steps))
        total = self.config.max_steps or max(1, round(self.config.num_train_epochs * per_epoch))
        lr_scale = self._schedule(total)
        with console.progress() as bar:
            task = bar.add_task("training", total=total, note="", completed=self.state.step)
            while self.state.step < total or self._unfinished(per_epoch):
                epoch, done = divmod(self.state.step, per_epoch)
                if self._unfinished(per_epoch):
                    self._end_epoch(validate)
                    continue
                for step in self._steps(examples(epoch), epoch, done):
                    self._update(step, lr_scale(self.state.step + 1))
                    bar.update(task, completed=self.state.step, note=self._note())
                    if self.state.step >= total:
                        break
            if self.state.running[1]:
                self._end_epoch(validate)
        return self.state

    def _steps(self, examples: Sequence[Example], epoch: int, done: int) -> Iterator[list[list[Example]]]:
        """The optimizer steps of an epoch that are not done yet, each some batches."""
        rng = random.Random(f"{self.config.seed}:{epoch}")
        found = length_grouped_batches([len(e) for e in examples], self.batch_size, rng)
        each = self.config.gradient_accumulation_steps
        for start in range(done * each, len(found), each):
            yield [[examples[i] for i in batch] for batch in found[start : start + each]]

    def _unfinished(self, per_epoch: int) -> bool:
        """Whether all steps of an epoch are done and its end is not, as after a kill in between."""
        return self.state.step // per_epoch > len(self.state.losses)

    def _update(self, step: list[list[Example]], lr_scale: float) -> None:
        """One optimizer step."""
        import torch

        began = time.monotonic()
        rank, count = distributed.rank(), distributed.world_size()
        # What dropout draws depends on the step and the process alone, so that a resumed run draws the same.
        torch.manual_seed(random.Random(f"{self.config.seed}:{self.state.step}:{rank}").getrandbits(63))
        counts = Counter(task for batch in step for e in batch for task in [e.task] * len(e.answer_positions))
        lost = 0.0
        self.student.model.train()
        for own in (batch[rank::count] for batch in step):
            for part in _parts(own):
                # By the counts of the whole step: so the sum over processes is what one process would compute.
                weights = [e.weight / counts[e.task] for e in part for _ in e.answer_positions]
                loss = weighted_loss(self.student, part, weights)
                loss.backward()
                lost += loss.item()
        lost = self._collect(lost)
        torch.nn.utils.clip_grad_norm_(self.master_weights.values(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * lr_scale
        self.optimizer.step()
        self._copy_to_model()
        if not math.isfinite(lost):
            raise KdbError(f"the loss is {lost} at step {self.state.step}", "lower --learning-rate")
        self.state.step += 1
        self.state.tokens += sum(len(e) for batch in step for e in batch)
        self.state.running = (self.state.running[0] + lost, self.state.running[1] + 1)
        self.state.seconds += time.monotonic() - began
        if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self.save()

    def _schedule(self, total: int) -> Callable[[int], float]:
        """The share of the peak learning rate at each step, from 1, by the schedule of Transformers of that name.

        A function of the step alone, so nothing of it need be in a checkpoint.
        """
        from transformers import get_scheduler

        warmup = max(1, round(self.config.warmup_ratio * total))
        schedule = get_scheduler(self.config.lr_scheduler_type, self.optimizer, warmup, total + 1)
        scale: Callable[[int], float] = schedule.lr_lambdas[0]
        return scale

    def _collect(self, lost: float) -> float:
        """Move the gradients to the master_weights, added up over all processes, and add up the loss."""
        import torch

        gradients = []
        for name, master in self.master_weights.items():
            grad = self.adapter_params[name].grad
            master.grad = torch.zeros_like(master) if grad is None else grad.float()
            self.adapter_params[name].grad = None
            gradients.append(master.grad)
        total = torch.tensor([lost], dtype=torch.float64)
        distributed.all_reduce(gradients)
        distributed.all_reduce([total])
        return total.item()

    def _end_epoch(self, validate: Validate | None) -> None:
        lost, steps = self.state.running
        self.state.losses.append(lost / max(steps, 1))
        self.state.running = (0.0, 0)
        said = f"epoch {len(self.state.losses)}: loss {self.state.losses[-1]:.4f}"
        if validate is not None:
            self.student.model.eval()
            result = validate()
            if all(_rank(result) > _rank(before) for before in self.state.validation):
                self.state.best = {name: w.clone() for name, w in self.master_weights.items()}
            self.state.validation.append(result)
            said += "".join(f", validation {name} {value:.4f}" for name, value in result.items())
        console.say(f"{said}, {self.state.tokens / self.state.seconds:.0f} tokens/s")
        self.save()

    def weights(self) -> Weights:
        """The best weights by validation, or the last ones where nothing was validated, in fp32."""
        return self.state.best or self.master_weights

    def load_weights(self, weights: Weights) -> None:
        """Put fp32 weights into the model."""
        import torch

        with torch.no_grad():
            for name, p in self.adapter_params.items():
                p.copy_(weights[name])

    def _copy_to_model(self) -> None:
        self.load_weights(self.master_weights)

    def save(self) -> None:
        """Write a checkpoint, in the first process; a kill while writing leaves the one before."""
        import torch

        self._saved_at = time.monotonic()
        if not distributed.is_main():
            return
        state = {
            "master_weights": self.master_weights,
            "optimizer": self.optimizer.state_dict(),
            "state": self.state.__dict__,
        }
        part = self.folder / (CHECKPOINT + ".part")
        torch.save(state, part)
        part.replace(self.folder / CHECKPOINT)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint if it has one; whether it had."""
        import torch

        file, state = self.folder / CHECKPOINT, None
        if distributed.is_main() and file.exists():
            state = torch.load(file, weights_only=True, map_location="cpu")
        state = distributed.broadcast(state)
        if state is None:
            return False
        for name, master in self.master_weights.items():
            master.copy_(state["master_weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.state = TrainerState(**state["state"])
        self._copy_to_model()
        return True

    def _note(self) -> str:
        lost, steps = self.state.running
        speed = self.state.tokens / max(self.state.seconds, 1e-9)
        return f"loss {lost / max(steps, 1):.3f}, {speed:.0f} tokens/s"


def _parts(batch: Sequence[Example]) -> list[list[Example]]:
    """A batch in parts that fit into memory; none where it is empty, as the last one of an epoch may be."""
    found = length_grouped_batches([len(e) for e in batch], len(batch), tokens=TOKENS_AT_ONCE)
    return [[batch[i] for i in part] for part in found]


def token_losses(student: Student, batch: Sequence[Example]) -> torch.Tensor:
    """Cross-entropy of each answer token of a batch, in nats; among `allowed_tokens` where there are any."""
    import torch
    from torch.nn.functional import cross_entropy

    logits = answer_logits(student, batch)
    losses, start = [], 0
    for allowed, group in groupby(batch, key=lambda e: e.allowed_tokens):
        labels = [label for e in group for label in e.labels]
        own = logits[start : start + len(labels)]
        start += len(labels)
        if allowed:
            own, labels = own[:, list(allowed)], [allowed.index(label) for label in labels]
        losses.append(cross_entropy(own, torch.tensor(labels, device=own.device), reduction="none"))
    return torch.cat(losses)


def weighted_loss(student: Student, batch: Sequence[Example], weights: Sequence[float]) -> torch.Tensor:
    """The sum of a batch's token losses, each with its weight."""
    import torch

    losses = token_losses(student, batch)
    return losses @ torch.tensor(weights, device=losses.device)


def example_losses(student: Student, examples: Sequence[Example], size: int) -> list[float]:
    """The loss of each example that is not trained on, summed over its answer tokens."""
    import torch

    found = [0.0] * len(examples)
    with torch.inference_mode():
        for indices in length_grouped_batches([len(e) for e in examples], size):
            losses = token_losses(student, [examples[i] for i in indices])
            parts = losses.split([len(examples[i].answer_positions) for i in indices])
            for i, part in zip(indices, parts, strict=True):
                found[i] = part.sum().item()
    return found


def mean_loss(student: Student, examples: Sequence[Example], size: int) -> float:
    """The loss per answer token of examples that are not trained on."""
    count = sum(len(e.answer_positions) for e in examples)
    return sum(example_losses(student, examples, size)) / max(count, 1)


def _rank(result: dict[str, Any]) -> tuple[float, float]:
    return result.get("matched_f1", 0.0), -result.get("loss", 0.0)
