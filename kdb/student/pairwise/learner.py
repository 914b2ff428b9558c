"""What all pair learners share: sessions as lists of titles in, log odds of their pairs out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from kdb.errors import KdbError
from kdb.student.examples import length_grouped_batches
from kdb.student.pairwise.head import PairHead
from kdb.student.tensors import HINT, check_shapes, first_line

if TYPE_CHECKING:
    import torch

Titles = Sequence[str]
LogOdds = NDArray[np.float32]
"""(n, n), symmetric, 0 on the diagonal."""

TITLE_LENGTH = 120
"""Titles are cut at so many characters: their ends hold what an accessory fits, and matter."""
CACHED_TITLES = 1 << 16
"""The tokens of so many titles are kept: a process that goes on for days must not grow."""
BATCH = 8


class PairLearner(ABC):
    """An encoder of a session's titles with a pair head on top."""

    learning_rate: ClassVar[float]
    """Of the encoder, unless another one is asked for."""
    epochs: ClassVar[float]
    reads_order: ClassVar[bool]
    """Whether the order of the items shows in the log odds: then the mean over it and its reverse counts."""
    head: PairHead

    @abstractmethod
    def encoder_weights(self) -> dict[str, torch.nn.Parameter]:
        """The trained weights of the encoder by name."""

    @abstractmethod
    def states(self, sessions: Sequence[Titles]) -> list[torch.Tensor]:
        """One row a title: (n, size) a session."""

    @abstractmethod
    def length(self, titles: Titles) -> int:
        """How many tokens are read for a session."""

    @abstractmethod
    def set_training(self, on: bool) -> None:
        """Turn dropout on or off."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """All trained weights by name, those of the head after `head.`."""
        found: dict[str, torch.Tensor] = dict(self.encoder_weights())
        return found | {f"head.{name}": w for name, w in self.head.layers.named_parameters()}

    def save(self, file: Path) -> None:
        """Write the trained weights in their precision; a kill while writing leaves no file."""
        from safetensors.torch import save_file

        part = file.with_suffix(".part")
        save_file({name: w.detach().cpu().contiguous() for name, w in self.tensors().items()}, part)
        part.replace(file)

    def load(self, file: Path) -> None:
        """Take the weights that `save` wrote; KdbError where they are missing, do not fit or are no numbers."""
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            kept = load_file(file)
        except (OSError, SafetensorError) as error:
            raise KdbError(f"{file}: {first_line(error)}", HINT) from None
        own = self.tensors()
        shapes = {name: tuple(values.shape) for name, values in kept.items()}
        check_shapes(file, shapes, {name: tuple(weight.shape) for name, weight in own.items()})
        with torch.no_grad():
            for name, weight in own.items():
                if not torch.isfinite(kept[name]).all():
                    raise KdbError(f"{file}: {name} holds values that are no numbers", HINT)
                weight.copy_(kept[name])
        self.set_training(False)

    def log_odds(self, sessions: Sequence[Titles]) -> list[LogOdds]:
        """The log odds that two items share a bundle, in nats, sessions of like length in one batch."""
        import torch

        self.set_training(False)
        found = [np.zeros((len(titles), len(titles)), dtype=np.float32) for titles in sessions]
        with torch.inference_mode():
            for indices in length_grouped_batches([self.length(titles) for titles in sessions], BATCH):
                for n, own in zip(indices, self._batch([sessions[n] for n in indices]), strict=True):
                    found[n] = own
        return found

    def _batch(self, sessions: Sequence[Titles]) -> Iterator[LogOdds]:
        orders = [sessions, [titles[::-1] for titles in sessions]] if self.reads_order else [sessions]
        states = self.states([titles for order in orders for titles in order])
        for n, titles in enumerate(sessions):
            own = [self._square(states[n])]
            if self.reads_order:
                own.append(self._square(states[len(sessions) + n])[::-1, ::-1])
            assert len(own[0]) == len(titles)
            yield np.mean(own, axis=0, dtype=np.float32)

    def _square(self, states: Any) -> LogOdds:
        count = len(states)
        square = np.zeros((count, count), dtype=np.float32)
        first, second = np.triu_indices(count, 1)
        if len(first):
            square[first, second] = self.head.log_odds(states, first, second).cpu().numpy()
        return square + square.T
