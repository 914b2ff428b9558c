"""LoRA adapters: put one on a student, write it as a PEFT folder that anything can load, and its recipe."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from kdb.errors import KdbError
from kdb.prompts.messages import prompt_hash
from kdb.records import Run
from kdb.student import config as recipes
from kdb.student.config import LoraConfig, StudentConfig
from kdb.student.model import Student
from kdb.weights import hub_name

if TYPE_CHECKING:
    import torch

Weights = dict[str, "torch.Tensor"]

RUN = "run.json"
"""The file beside the weights with the `run` record of the training."""

CARD = """---
base_model: {base}
library_name: peft
tags: [lora, bundle-generation, kdb]
---
# A student of product bundling

{what} for `{base}`, trained by `kdb train` on {sessions} annotated shopping sessions ({domains}).
It answers in the format `{answer}`; the settings and the hash of the prompts are in `kdb.json`, which
`kdb infer --adapter` reads. Validation: {validation}.
"""


def attach(student: Student, lora: LoraConfig, seed: int) -> None:
    """Put a new adapter on the student, its start drawn from `seed`; all other weights stay as they are."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    names = [name.strip() for name in lora.targets.split(",")]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=_linear_layers(student) if names == ["all-linear"] else names,
        layers_to_transform=_layers(student, lora.depth),
        task_type="CAUSAL_LM",
    )
    logging.getLogger("peft").setLevel(logging.ERROR)
    try:
        # The adapter keeps the model's precision: training holds the fp32 weights (see `training`).
        student.model = get_peft_model(student.model, config, autocast_adapter_dtype=False)
    except ValueError as error:
        raise KdbError(f"LoRA: {str(error).splitlines()[0]}", "check --lora-targets") from None


def _linear_layers(student: Student) -> list[str]:
    """The names of all linear layers but the output layer."""
    from torch.nn import Linear

    head = student.model.get_output_embeddings()
    modules = student.model.named_modules()
    return sorted({name.split(".")[-1] for name, m in modules if isinstance(m, Linear) and m is not head})


def _layers(student: Student, depth: float) -> list[int] | None:
    """The numbers of the topmost blocks that make up this share of all; None: all of them."""
    count = int(getattr(student.model.config, "num_hidden_layers", 0))
    first = count - max(1, round(depth * count))
    return list(range(first, count)) if first > 0 else None


def trained(student: Student) -> dict[str, torch.nn.Parameter]:
    """The adapter's weights by name, in a fixed order."""
    return {name: p for name, p in student.model.named_parameters() if p.requires_grad}


def read_config(folder: Path) -> StudentConfig:
    """The recipe of an adapter; KdbError where there is none, or its prompts are not those of this kdb."""
    recipe = recipes.read(folder)
    if recipe.prompt != prompt_hash(recipe):
        raise KdbError(f"{folder}: trained with other prompts than this kdb has", "train it anew with kdb train")
    return recipe


def merge(student: Student) -> None:
    """Add the adapter to the weights under it; KdbError where that gives no numbers."""
    try:
        student.model = student.model.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise KdbError(f"the adapter cannot be merged: {str(error).splitlines()[0]}") from None


def stamp(folder: Path) -> dict[str, Any]:
    """What an adapter was trained on: the id of its `run` and what that could draw on; empty if unknown."""
    try:
        run = msgspec.json.decode((folder / RUN).read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError):
        return {}
    return {"run": run.id, **run.settings.get("kb", {})}


def write(student: Student, weights: Weights, folder: Path) -> None:
    """Write the adapter with fp32 `weights` into `folder`."""
    config = student.model.peft_config["default"]
    config.base_model_name_or_path = hub_name(student.name)
    # No embedding is trained; left to itself PEFT would look for the base model on the hub to find that out.
    student.model.save_pretrained(str(folder), state_dict=weights, save_embedding_layers=False)


def write_card(recipe: StudentConfig, folder: Path, card: dict[str, str]) -> None:
    """Write a model card."""
    what = f"A router over the LoRA adapters {', '.join(recipe.experts)}" if recipe.experts else "A LoRA adapter"
    text = CARD.format(what=what, base=hub_name(recipe.student), answer=recipe.answer, **card)
    (folder / "README.md").write_text(text, encoding="utf-8")
