"""Experts: several adapters over one student, weighed anew for each prompt by a router (RouteDK, arXiv 2508.17250).

Each expert was trained by itself, and only the router learns. It reads the mean of the student's last hidden states
over the prompt, as they are without any expert. PEFT's X-LoRA does not serve: it weighs each token anew, answers
included, and cannot keep what was read, neither a prefix nor what is being written.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdb.errors import KdbError

if TYPE_CHECKING:
    import torch

FILE = "router.safetensors"
EXPERTS = "experts"
"""The folder of the experts beside the router's weights, each under its name; their order is that of the names."""


def attach(model: Any, experts: Sequence[Path]) -> Any:
    """The model with all experts on it, frozen, and a router that begins with the same weight for each."""
    import torch
    from peft import PeftModel

    experts = sorted(experts, key=lambda folder: folder.name)
    names = [f"expert{n}" for n in range(len(experts))]
    dtype = model.dtype
    for folder, name in zip(experts, names, strict=True):
        try:
            if name == names[0]:
                model = PeftModel.from_pretrained(model, str(folder), name, autocast_adapter_dtype=False)
            else:
                model.load_adapter(str(folder), name, autocast_adapter_dtype=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise KdbError(f"expert {folder}: {str(error).splitlines()[0]}") from None
    for weight in filter(torch.is_floating_point, model.parameters()):
        weight.data = weight.data.to(dtype)
    _activate(model, names)
    size = model.get_input_embeddings().embedding_dim
    linear = torch.nn.Linear(size, len(names))
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    router = torch.nn.Sequential(torch.nn.LayerNorm(size, elementwise_affine=False), linear)
    model.router = router.to(model.device)
    return model


def routed(model: Any) -> bool:
    """Whether there is a router on the model."""
    return hasattr(model, "router")


def route(model: Any, prompts: Sequence[Sequence[int]], pad: int) -> None:
    """Weigh the experts for the next batch, whose sequences begin with these prompts; without a router, nothing."""
    if not routed(model):
        return
    found = weights(model, prompts, pad).to(model.dtype)[:, :, None, None]
    for layer in _layers(model):
        for n, name in enumerate(model.peft_config):
            if name in layer.scaling:
                layer.scaling[name] = found[:, n] * (layer.lora_alpha[name] / layer.r[name])


def weights(model: Any, prompts: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    """How much of each expert each prompt gets: (prompts, experts), rows that sum to 1."""
    import torch

    width = max(map(len, prompts))
    ids = [[*prompt, *[pad] * (width - len(prompt))] for prompt in prompts]
    mask = torch.tensor([[1] * len(prompt) + [0] * (width - len(prompt)) for prompt in prompts]).to(model.device)
    names = list(model.peft_config)
    with torch.no_grad():
        _activate(model, [])
        inner = model.get_base_model().base_model
        read = inner(input_ids=torch.tensor(ids, device=model.device), attention_mask=mask, use_cache=False)
        _activate(model, names)
        hidden = read.last_hidden_state.float() * mask[:, :, None]
        mean = hidden.sum(1) / mask.sum(1, keepdim=True)
    return model.router(mean).softmax(-1)


def mean_weights(model: Any, prompts: Sequence[Sequence[int]], pad: int, batch: int) -> list[float]:
    """The mean weight of each expert over many prompts."""
    import torch

    with torch.inference_mode():
        parts = [weights(model, prompts[n : n + batch], pad) for n in range(0, len(prompts), batch)]
        return torch.cat(parts).mean(0).tolist()


def write(model: Any, values: dict[str, torch.Tensor], experts: Sequence[Path], folder: Path) -> None:
    """Write the router's fp32 weights, and copies of the experts beside them."""
    from safetensors.torch import save_file

    for expert in experts:
        own = folder / EXPERTS / expert.name
        own.mkdir(parents=True, exist_ok=True)
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            shutil.copy(expert / name, own / name)
    save_file({name.removeprefix("router."): value.contiguous() for name, value in values.items()}, folder / FILE)


def read(model: Any, folder: Path) -> Any:
    """The model with the experts and the router that `write` left in a folder."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    model = attach(model, list((folder / EXPERTS).iterdir()))
    try:
        model.router.load_state_dict(load_file(folder / FILE))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise KdbError(f"{folder / FILE}: {str(error).splitlines()[0]}", "train the router anew") from None
    model.router.requires_grad_(False)
    return model


def _layers(model: Any) -> Iterator[Any]:
    from peft.tuners.lora import LoraLayer

    return (module for module in model.modules() if isinstance(module, LoraLayer))


def _activate(model: Any, names: Sequence[str]) -> None:
    """Let these experts take part, none of them in training."""
    model.base_model.set_adapter(list(names), inference_mode=True)
