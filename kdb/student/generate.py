"""Text from a student, each sequence of a batch inside its own grammar."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kdb.student.model import Student

if TYPE_CHECKING:
    import torch


class Generated(NamedTuple):
    """One answer, the number of tokens that it took, and of those that were read before it."""

    text: str
    tokens: int
    prompt_tokens: int = 0


class SamplingConfig(NamedTuple):
    """How answers are drawn: at a temperature above 0, and by a seed for each answer."""

    temperature: float
    seeds: Sequence[str]


class GumbelSampler:
    """Adds Gumbel noise to logits, so that the largest of them is a draw from their softmax.

    (The Gumbel-max trick: Maddison, Tarlow and Minka, arXiv 1411.0030.) Each sequence has a generator of its
    own, so what is drawn for it does not depend on the others in its batch, as with PyTorch's it would.
    """

    def __init__(self, sampling: SamplingConfig) -> None:
        self.temperature = sampling.temperature
        self._generators = [np.random.default_rng(random.Random(seed).getrandbits(64)) for seed in sampling.seeds]

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The logits with noise."""
        import torch

        noise = np.stack([own.gumbel(size=scores.shape[1]) for own in self._generators])
        return scores.float() / self.temperature + torch.from_numpy(noise).to(scores.device, torch.float32)


class Generator:
    """Generates for one student; grammars are compiled once and kept."""

    def __init__(self, student: Student) -> None:
        self.student = student
        self._compiled: dict[str, Any] = {}

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        grammars: Sequence[str] | None,
        max_new_tokens: int,
        sampling: SamplingConfig | None = None,
        stop: str = "",
    ) -> list[Generated]:
        """Answers to prompts of token ids, at most `max_new_tokens` long; greedy, or drawn by `sampling`.

        With `grammars` (EBNF, one a prompt) an answer is always in its grammar if `max_new_tokens` suffices.
        With `stop` an answer ends once it has said that.
        """
        import torch

        tokenizer = self.student.tokenizer
        width = max(map(len, prompts))
        ids = [[tokenizer.pad_token_id] * (width - len(p)) + list(p) for p in prompts]
        mask = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
        device = self.student.device
        processors = [self._processor(grammars)] if grammars else []
        processors += [GumbelSampler(sampling)] if sampling else []
        with torch.inference_mode():
            out = self.student.model.generate(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=torch.tensor(mask, device=device),
                max_new_tokens=max_new_tokens,
                logits_processor=processors or None,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
                **({"stop_strings": [stop], "tokenizer": tokenizer} if stop else {}),
            )
        return [self._read(row) for row in out[:, width:].tolist()]

    def _read(self, row: list[int]) -> Generated:
        """The text of a row, which ends where the end token or padding begins."""
        ends = {self.student.tokenizer.eos_token_id, self.student.tokenizer.pad_token_id}
        tokens = list(takewhile(lambda token: token not in ends, row))
        return Generated(self.student.tokenizer.decode(tokens, skip_special_tokens=True), len(tokens))

    def _processor(self, grammars: Sequence[str]) -> Any:
        from xgrammar.contrib.hf import LogitsProcessor

        for grammar in set(grammars) - self._compiled.keys():
            self._compiled[grammar] = self._compiler.compile_grammar(grammar)
        return LogitsProcessor([self._compiled[grammar] for grammar in grammars])

    @cached_property
    def _compiler(self) -> Any:
        import xgrammar

        vocabulary = self.student.model.config.vocab_size
        info = xgrammar.TokenizerInfo.from_huggingface(self.student.tokenizer, vocab_size=vocabulary)
        return xgrammar.GrammarCompiler(info)
