"""The student as session encoder: one forward pass reads all titles, each item's state goes to the pair head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdb import prompts
from kdb.student import adapter
from kdb.student.config import LoraConfig, MethodConfig
from kdb.student.examples import token_ids
from kdb.student.model import Student, load
from kdb.student.pairwise.head import PairHead
from kdb.student.pairwise.learner import CACHED_TITLES, TITLE_LENGTH, PairLearner, Titles
from kdb.student.pairwise.training import FitSettings, Maker
from kdb.student.tensors import read_tensors

if TYPE_CHECKING:
    import torch

PROMPT = "session_encoder"
EPSILON = 1e-5
"""As in the norms of the language models that are read."""


class SessionEncoder(PairLearner):
    """A causal language model with a LoRA adapter; an item's state is the mean over the tokens of its title.

    (The mean tells more than the last state, which a language model keeps for what comes next.) With `normalised`,
    each token's state is brought to a root mean square of 1 before. It has read the items before, so the order of
    items matters.
    """

    learning_rate = 5e-4
    epochs = 2
    reads_order = True

    def __init__(
        self, student: Student, seed: int = 0, dropout: float = 0.1, layers: int = 0, normalised: bool = True
    ) -> None:
        import torch

        torch.manual_seed(seed)
        self.student, self.layers, self.normalised = student, layers, normalised
        self._prepare(student.tokenizer, student.model.config.hidden_size, student.device, dropout)

    def _prepare(self, tokenizer: Any, size: int, device: Any, dropout: float = 0.0) -> None:
        self.head = PairHead(size, dropout, device)
        self.tokenizer = tokenizer
        self._prefix = token_ids(tokenizer, self.text([]))
        self._line = lru_cache(CACHED_TITLES)(lambda title: token_ids(tokenizer, _line_of(title)))

    def encoder_weights(self) -> dict[str, torch.nn.Parameter]:
        """See `PairLearner`: the weights of the adapter."""
        return {name: p for name, p in self.student.model.named_parameters() if p.requires_grad}

    def length(self, titles: Titles) -> int:
        """See `PairLearner`."""
        return len(self._prefix) + sum(len(self._line(title)) for title in titles)

    def states(self, sessions: Sequence[Titles]) -> list[torch.Tensor]:
        """See `PairLearner`."""
        import torch

        found = []
        for titles, states in zip(sessions, self.token_states(sessions), strict=True):
            if self.normalised:
                states = torch.nn.functional.rms_norm(states, states.shape[-1:], eps=EPSILON)
            found.append(torch.stack([states[span].mean(0) for span in self.tokens(titles)[1]]))
        return found

    def text(self, titles: Titles) -> str:
        """What is read for a session, as text."""
        return prompts.template(PROMPT) + "\n" + "".join(map(_line_of, titles))

    def tokens(self, titles: Titles) -> tuple[list[int], list[slice]]:
        """`text` as tokens, and where each title stands in them, without the end of its line."""
        ids, spans = list(self._prefix), []
        for title in titles:
            line = self._line(title)
            spans.append(slice(len(ids), len(ids) + max(1, len(line) - 1)))
            ids += line
        return ids, spans

    def token_states(self, sessions: Sequence[Titles]) -> list[torch.Tensor]:
        """The state of each token of `text` in fp32: (tokens, size) a session."""
        import torch

        sequences = [self.tokens(titles)[0] for titles in sessions]
        width = max(map(len, sequences))
        # Padded on the right, where no causal attention looks.
        padded = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in sequences], device=self.student.device)
        with _first_blocks(self._base(), self.layers) as base:
            hidden = base(input_ids=padded, use_cache=False).last_hidden_state
        return [hidden[n, : len(ids)].float() for n, ids in enumerate(sequences)]

    def set_training(self, on: bool) -> None:
        """See `PairLearner`."""
        self.student.model.train(on)
        self.head.layers.train(on)

    def save_head(self, file: Path) -> None:
        """Write the weights of the pair head; those of the adapter are written by `kdb.student.adapter`."""
        from safetensors.torch import save_file

        save_file({name: w.detach().cpu() for name, w in self.head.layers.state_dict().items()}, file)

    def load_head(self, file: Path) -> None:
        """Take the head that `save_head` wrote; KdbError where it is broken or does not fit."""
        import torch

        own = self.head.layers.state_dict()
        kept = read_tensors(file, {name: tuple(w.shape) for name, w in own.items()})
        self.head.layers.load_state_dict({name: torch.as_tensor(values) for name, values in kept.items()})
        self.set_training(False)

    def _base(self) -> Any:
        """The model without its output layer."""
        model = self.student.model
        return (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model


def maker(
    name: str,
    lora: LoraConfig,
    settings: FitSettings,
    method: MethodConfig,
    precision: str,
    device: str,
    load_in_4bit: bool = False,
) -> Maker:
    """How the encoder of this student is made: its first blocks, or all, with a new adapter."""

    def make() -> SessionEncoder:
        student = load(name, precision=precision, device=device, load_in_4bit=load_in_4bit)
        count = min(method.encoder_layers, int(student.model.config.num_hidden_layers))
        adapter.attach(student, lora, settings.seed, count)
        return SessionEncoder(
            student, settings.seed, layers=method.encoder_layers, normalised=method.normalised_states
        )

    return Maker(make, settings)


@contextmanager
def _first_blocks(base: Any, count: int) -> Iterator[Any]:
    """The model with its first `count` blocks (0: all): later ones turn from what was read to what comes next."""
    from torch.nn import Identity

    blocks, norm = base.layers, base.norm
    if 0 < count < len(blocks):
        base.layers, base.norm = blocks[:count], Identity()  # the norm was made for the last block
    try:
        yield base
    finally:
        base.layers, base.norm = blocks, norm


def _line_of(title: str) -> str:
    return prompts.sanitized(title, TITLE_LENGTH) + "\n"
