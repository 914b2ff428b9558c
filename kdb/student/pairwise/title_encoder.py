"""The fine-tuned embedder: each title read by itself, all weights of a small sentence encoder trained."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdb.errors import KdbError
from kdb.io.provenance import file_hash
from kdb.prompts import sanitized
from kdb.retrieval.packaged import EMBEDDER, embedder_path
from kdb.student.device import bf16_arithmetic, default_device, supports_bf16
from kdb.student.pairwise.head import PairHead
from kdb.student.pairwise.learner import CACHED_TITLES, TITLE_LENGTH, PairLearner, Titles
from kdb.student.pairwise.training import FitSettings, Maker

if TYPE_CHECKING:
    import torch

TITLES = 16
"""So many titles of like length are read at once, so that little is padded."""


class TitleEncoder(PairLearner):
    """A bi-encoder: the mean of a sentence encoder's last hidden states over a title.

    fp32 weights, trained in bf16 arithmetic where the device does that natively.
    """

    learning_rate = 3e-5
    epochs = 2
    reads_order = False

    def __init__(self, name: str = EMBEDDER, seed: int = 0, dropout: float = 0.1, device: str = "") -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        self.device = device or default_device()
        self.bf16 = supports_bf16(self.device)
        path = embedder_path(name)
        logging.disable_progress_bar()
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(path)
            self.model: Any = AutoModel.from_pretrained(path, dtype=torch.float32, use_safetensors=True).to(
                self.device
            )
        except (OSError, ValueError) as error:
            raise KdbError(f"embedder {name!r} cannot be loaded: {str(error).splitlines()[0]}") from None
        torch.manual_seed(seed)
        self.head = PairHead(self.model.config.hidden_size, dropout, self.device)
        self._tokens = lru_cache(CACHED_TITLES)(self._read)

    def encoder_weights(self) -> dict[str, torch.nn.Parameter]:
        """See `PairLearner`; the pooler is not read."""
        return {f"encoder.{n}": p for n, p in self.model.named_parameters() if not n.startswith("pooler.")}

    def length(self, titles: Titles) -> int:
        """See `PairLearner`."""
        return sum(len(self._tokens(title)) for title in titles)

    def states(self, sessions: Sequence[Titles]) -> list[torch.Tensor]:
        """See `PairLearner`; a title that stands in several sessions is read once."""
        import torch

        titles = sorted({t for s in sessions for t in s}, key=lambda t: (-len(self._tokens(t)), t))
        place = {title: n for n, title in enumerate(titles)}
        parts = [self._means(titles[n : n + TITLES]) for n in range(0, len(titles), TITLES)]
        means = torch.cat(parts)
        return [means[[place[title] for title in own]] for own in sessions]

    def _means(self, titles: Titles) -> torch.Tensor:
        """The mean of the last hidden states of each title: (n, size)."""
        import torch

        tokens = [self._tokens(title) for title in titles]
        width = max(map(len, tokens))
        ids = torch.tensor([own + [0] * (width - len(own)) for own in tokens], device=self.device)
        mask = torch.tensor([[1] * len(own) + [0] * (width - len(own)) for own in tokens], device=self.device)
        with bf16_arithmetic(self.device, self.bf16 and self.model.training):
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        shown = mask[:, :, None].float()
        return (hidden.float() * shown).sum(1) / shown.sum(1)

    def set_training(self, on: bool) -> None:
        """See `PairLearner`."""
        self.model.train(on)
        self.head.layers.train(on)

    def _read(self, title: str) -> list[int]:
        """The tokens of a title."""
        ids: list[int] = self.tokenizer(sanitized(title, TITLE_LENGTH), truncation=True, max_length=64).input_ids
        return ids


def maker(name: str, settings: FitSettings, device: str = "") -> Maker:
    """How the embedder of this name is made and trained. Baselines and students on the same sessions share it."""
    path = Path(embedder_path(name))
    identity = {
        "embedder": file_hash(path) if path.exists() else name,
        "device": device,
        "learning_rate": str(TitleEncoder.learning_rate),
        "epochs": str(TitleEncoder.epochs),
        "title_length": str(TITLE_LENGTH),
    }
    return Maker(lambda: TitleEncoder(name, settings.seed, device=device), settings, identity)
