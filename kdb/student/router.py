"""Experts: several adapters over one student, weighed anew for each prompt by a router (RouteDK, arXiv 2508.17250).

Each expert was trained by itself, and only the router learns. It reads the mean of the student's last hidden states
over the prompt, as they are without any expert. PEFT's X-LoRA does not serve: it weighs each token anew, answers
included, and cannot keep what was read, neither a prefix nor what is being written.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from kdb.student.adapter import load_adapter
from kdb.student.tensors import read_tensors

FILE = "router.safetensors"
EXPERTS = "experts"
"""The folder of the experts beside the router's weights, each under its name; their order is that of the names."""


class RoutedModel(nn.Module):
    """A PEFT model with several adapters, frozen, and a router that begins with the same weight for each.

    Called as the model is, it first weighs the experts for the sequences of the batch: by all that they hold, or by
    what `prompt_mask` marks as read before the answer.
    """

    def __init__(self, model: Any, experts: Sequence[Path]) -> None:
        super().__init__()
        dtype = model.dtype
        for n, folder in enumerate(sorted(experts, key=lambda folder: folder.name)):
            model = load_adapter(model, folder, f"expert{n}")
        for weight in filter(torch.is_floating_point, model.parameters()):
            weight.data = weight.data.to(dtype)
        self.model = model
        self.names = list(model.peft_config)
        self._activate(self.names)
        size = model.get_input_embeddings().embedding_dim
        linear = nn.Linear(size, len(self.names))
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        self.router = nn.Sequential(nn.LayerNorm(size, elementwise_affine=False), linear).to(model.device)

    def __getattr__(self, name: str) -> Any:
        """What the model has, where this module has it not."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def forward(self, input_ids: Any, attention_mask: Any, prompt_mask: Any = None, **more: Any) -> Any:
        """What the model gives with the experts weighed for the prompts."""
        self._route(input_ids, attention_mask if prompt_mask is None else prompt_mask)
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **more)

    def generate(self, input_ids: Any, attention_mask: Any, **more: Any) -> Any:
        """What the model writes, its experts weighed once, for the prompts."""
        self._route(input_ids, attention_mask)
        return self.model.generate(input_ids=input_ids, attention_mask=attention_mask, **more)

    def weights(self, input_ids: Any, prompt_mask: Any) -> torch.Tensor:
        """How much of each expert each prompt gets: (prompts, experts), rows that sum to 1."""
        positions = (prompt_mask.cumsum(1) - 1).clamp(min=0)
        with torch.no_grad():
            self._activate([])
            inner = self.model.get_base_model().base_model
            read = inner(
                input_ids=input_ids, attention_mask=prompt_mask, position_ids=positions, use_cache=False
            ).last_hidden_state
            self._activate(self.names)
            mean = (read.float() * prompt_mask[:, :, None]).sum(1) / prompt_mask.sum(1, keepdim=True)
        found: torch.Tensor = self.router(mean).softmax(-1)
        return found

    def _route(self, input_ids: Any, prompt_mask: Any) -> None:
        found = self.weights(input_ids, prompt_mask).to(self.model.dtype)[:, :, None, None]
        for layer in self.model.modules():
            if isinstance(layer, LoraLayer):
                for n, name in enumerate(self.names):
                    if name in layer.scaling:
                        layer.scaling[name] = found[:, n] * (layer.lora_alpha[name] / layer.r[name])

    def _activate(self, names: Sequence[str]) -> None:
        """Let these experts take part, none of them in training."""
        self.model.base_model.set_adapter(list(names), inference_mode=True)


def write(weights: dict[str, torch.Tensor], experts: Sequence[Path], folder: Path) -> None:
    """Write the router's fp32 weights, and copies of the experts beside them."""
    from safetensors.torch import save_file

    for expert in experts:
        own = folder / EXPERTS / expert.name
        own.mkdir(parents=True, exist_ok=True)
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            shutil.copy(expert / name, own / name)
    save_file({name.removeprefix("router."): value.contiguous() for name, value in weights.items()}, folder / FILE)


def read(model: Any, folder: Path) -> RoutedModel:
    """The model with the experts and the router that `write` left in a folder."""
    routed = RoutedModel(model, list((folder / EXPERTS).iterdir()))
    own = routed.router.state_dict()
    found = read_tensors(folder / FILE, {name: tuple(value.shape) for name, value in own.items()})
    routed.router.load_state_dict({name: torch.from_numpy(value) for name, value in found.items()})
    routed.router.requires_grad_(False)
    return routed
