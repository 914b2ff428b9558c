"""The session encoder whose language model is behind a server: only the pair head is computed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kdb.errors import KdbError
from kdb.student.pairwise.learner import Titles
from kdb.student.pairwise.session_encoder import SessionEncoder

if TYPE_CHECKING:
    import torch

Ask = Callable[[Sequence[str]], list[NDArray[np.float32]]]
"""The state of each token of each text, (tokens, size)."""


class ServedEncoder(SessionEncoder):
    """Reads by asking a server, and cannot be trained."""

    def __init__(self, folder: Path, ask: Ask) -> None:
        """`folder` is what `kdb export` wrote; KdbError where its tokenizer or size cannot be read."""
        from transformers import AutoConfig, AutoTokenizer

        try:
            tokenizer, size = AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder).hidden_size
        except (OSError, ValueError, AttributeError) as error:
            raise KdbError(f"{folder}: {str(error).splitlines()[0]}", "write it anew with kdb export") from None
        self._prepare(tokenizer, size, "cpu")
        self.ask, self.layers, self.normalised = ask, 0, True

    def encoder_weights(self) -> dict[str, torch.nn.Parameter]:
        """See `PairLearner`: none."""
        return {}

    def set_training(self, on: bool) -> None:
        """See `PairLearner`."""
        self.head.layers.train(on)

    def token_states(self, sessions: Sequence[Titles]) -> list[torch.Tensor]:
        """See `SessionEncoder`; KdbError where the server reads other tokens than the student was trained on."""
        import torch

        found = self.ask([self.text(titles) for titles in sessions])
        for titles, states in zip(sessions, found, strict=True):
            count = len(self.tokens(titles)[0])
            if len(states) != count:
                raise KdbError(
                    f"the server read {len(states)} tokens of a text of {count}",
                    "it has another tokenizer, adds a token, or cuts texts: raise its batch and context",
                )
        return [torch.from_numpy(states) for states in found]
