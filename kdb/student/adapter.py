"""LoRA adapters: put one on a student, write it as a PEFT folder that anything can load, and its config."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from kdb.errors import KdbError
from kdb.io.provenance import file_hash
from kdb.records import Run
from kdb.student.config import LoraConfig, StudentConfig
from kdb.student.tensors import HINT, check_shapes, first_line
from kdb.student.weights import hub_name

if TYPE_CHECKING:
    import torch

    from kdb.student.model import Student

Weights = dict[str, "torch.Tensor"]

FILE, CONFIG = "adapter_model.safetensors", "adapter_config.json"
RUN = "run.json"
"""The file beside the weights with the `run` record of the training."""
CARD_FILE = "README.md"

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


def attach(student: Student, lora: LoraConfig, seed: int, blocks: int = 0) -> None:
    """Put a new adapter on the student, its start drawn from `seed`; all other weights stay as they are.

    It is on the first `blocks` blocks or, where that is 0, on the top ones (`depth`).
    """
    import peft
    import torch

    torch.manual_seed(seed)
    names = [name.strip() for name in lora.target_modules.split(",")]
    config = peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=_linear_layers(student) if names == ["all-linear"] else names,
        layers_to_transform=list(range(blocks)) if blocks else _layers(student, lora.depth),
        task_type="CAUSAL_LM",
    )
    logging.getLogger("peft").setLevel(logging.ERROR)
    try:
        # The adapter keeps the model's precision: training holds the fp32 weights (see `training`).
        student.model = peft.get_peft_model(student.model, config, autocast_adapter_dtype=False)
    except ValueError as error:
        raise KdbError(f"LoRA: {str(error).splitlines()[0]}", "check target_modules") from None


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


def load_adapter(model: Any, folder: Path, name: str = "default") -> Any:
    """The model with the adapter of a folder on it, beside those that it has.

    KdbError where the folder's weights are broken, are no numbers, or are not those of an adapter of this model.
    """
    from peft import PeftModel, get_peft_model_state_dict

    file = folder / FILE
    found = _tensors(file)
    try:
        if hasattr(model, "peft_config"):
            model.load_adapter(str(folder), name, autocast_adapter_dtype=False)
        else:
            model = PeftModel.from_pretrained(model, str(folder), name, autocast_adapter_dtype=False)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise KdbError(f"adapter {folder}: {first_line(error)}", HINT) from None
    wanted = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    check_shapes(file, found, {key: tuple(value.shape) for key, value in wanted.items()})
    return model


def _tensors(file: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of an adapter's tensors by name; KdbError where one holds what is no number."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(file)
    except (OSError, SafetensorError) as error:
        raise KdbError(f"{file}: {first_line(error)}", HINT) from None
    for name, values in found.items():
        if not torch.isfinite(values).all():
            raise KdbError(f"{file}: {name} holds values that are no numbers", HINT)
    return {name: tuple(values.shape) for name, values in found.items()}


def check_base(folder: Path, config: StudentConfig, found: str, name: str) -> None:
    """KdbError where an adapter was trained on other weights than those of `name`, whose hash is `found`."""
    if config.base and found and config.base != found:
        raise KdbError(
            f"{folder} was trained on other weights than those of {name}: {config.base}, not {found}",
            "name the student that it was trained on with --student",
        )


def merge(student: Student) -> None:
    """Add the adapter to the weights under it; KdbError where that gives no numbers."""
    try:
        student.model = student.model.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise KdbError(f"the adapter cannot be merged: {str(error).splitlines()[0]}") from None


def write_difference(plus: Path, minus: Path, folder: Path) -> None:
    """Write the adapter that does over a model merged with `minus` what `plus` does over the bare one.

    The low-rank products add up: it has the rows of both, those of `minus` with the other sign, so twice the rank.
    Other files of `plus` are copied. KdbError where the two are of different ranks or scales.
    """
    import torch
    from safetensors.torch import load_file, save_file

    configs = [msgspec.json.decode((own / CONFIG).read_bytes()) for own in (plus, minus)]
    config, other = configs
    if (config["r"], config["lora_alpha"]) != (other["r"], other["lora_alpha"]):
        raise KdbError(f"{plus}: not of the rank and scale of {minus}", HINT)
    one, two = (load_file(own / FILE) for own in (plus, minus))
    found = {}
    for name, values in {**two, **one}.items():
        own, its = (each.get(name, torch.zeros_like(values)) for each in (one, two))
        found[name] = torch.cat([own, its]) if "lora_A" in name else torch.cat([own, -its], 1)
    layers = [each["layers_to_transform"] for each in configs]
    config |= {
        "r": 2 * config["r"],
        "lora_alpha": 2 * config["lora_alpha"],
        "layers_to_transform": sorted({n for own in layers for n in own}) if all(layers) else None,
        "target_modules": sorted({name for own in configs for name in own["target_modules"]}),
    }
    shutil.copytree(plus, folder)
    (folder / CONFIG).write_bytes(msgspec.json.format(msgspec.json.encode(config)) + b"\n")
    save_file({name: values.contiguous() for name, values in found.items()}, folder / FILE, {"format": "pt"})


def identity(folder: Path) -> str:
    """A hash of what an adapter is: of its files, but not of those that tell how long its training took."""
    return file_hash(folder, without=(RUN, CARD_FILE))


def training_facts(folder: Path) -> dict[str, Any]:
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
    config.target_modules = sorted(config.target_modules)  # a set, whose order is another in each process
    # No embedding is trained; left to itself PEFT would look for the base model on the hub to find that out.
    student.model.save_pretrained(str(folder), state_dict=weights, save_embedding_layers=False)


def write_card(config: StudentConfig, folder: Path, card: dict[str, str]) -> None:
    """Write a model card."""
    what = f"A router over the LoRA adapters {', '.join(config.experts)}" if config.experts else "A LoRA adapter"
    text = CARD.format(what=what, base=hub_name(config.student), answer=config.method.answer, **card)
    (folder / CARD_FILE).write_text(text, encoding="utf-8")
