"""What an adapter was made with. It is saved beside the weights as `kdb.json`, and inference reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from kdb.errors import KdbError
from kdb.retrieval.config import RARE, ContextConfig
from kdb.student import config_v1, weights
from kdb.student.methods import ANSWERS

FILE = "kdb.json"
METADATA_FOLDER = "kdb"
"""The folder in a merged model for what only kdb needs: vLLM takes any `*.safetensors` beside it for weights."""
VERSION = 2

ThoughtMode = Literal["none", "first", "auxiliary"]
"""Whether a student writes a thought: not at all, before its answer, or as a second task in training.

`auxiliary` is distilling step by step (Hsieh et al., arXiv 2305.02301): thoughts only teach.
"""
Utility = Literal["f1", "precision"]
Precision = Literal["auto", "bf16", "fp32"]


class MethodConfig(Struct, kw_only=True):
    """How a student answers."""

    answer: Annotated[str, Meta(description="Answer format.", extra={"choices": ANSWERS})] = "pairs"
    intents: Annotated[bool, Meta(description="Let answers name intents, where their format can.")] = True
    thoughts: Annotated[
        ThoughtMode, Meta(description="Thoughts before the answer, or as a second task in training.")
    ] = "none"
    max_thought_tokens: Annotated[
        int, Meta(ge=0, description="Longest thought; 0: as the longest to learn.", extra=RARE)
    ] = 0
    pair_features: Annotated[
        bool, Meta(description="Decode titles, categories and patterns with the student's answers (pairs).")
    ] = True
    encoder_layers: Annotated[
        int, Meta(ge=0, description="Blocks of the student that are read (pairs); 0: all.", extra=RARE)
    ] = 8
    normalised_states: Annotated[
        bool, Meta(description="Bring tokens to like length before their mean (pairs).", extra=RARE)
    ] = True
    """Then states may come from a server, which gives them as they leave the last norm."""
    utility: Annotated[Utility, Meta(description="What decisions aim at (pairs).")] = "f1"


class AskedConfig(MethodConfig, kw_only=True):
    """How a student without an adapter is asked for its answer: as text, which any student can write."""

    answer: Annotated[str, Meta(description="Answer format, without an adapter.", extra={"choices": ANSWERS})] = (
        "list"
    )
    thoughts: Annotated[
        ThoughtMode, Meta(description="Thoughts before the answer, without an adapter.", extra=RARE)
    ] = "none"
    pair_features: Annotated[
        bool, Meta(description="Decode titles, categories and patterns too (pairs).", extra=RARE)
    ] = True


class LoraConfig(Struct, kw_only=True):
    """The adapter: PEFT's own settings under their names, and `depth`."""

    r: Annotated[int, Meta(ge=1, description="Rank of the adapter.", extra=RARE)] = 16
    lora_alpha: Annotated[int, Meta(ge=1, description="Its scale is alpha / rank.", extra=RARE)] = 32
    lora_dropout: Annotated[float, Meta(ge=0, lt=1, description="Dropout before the adapter.", extra=RARE)] = 0.0
    target_modules: Annotated[str, Meta(description="Layer names, by commas, or all-linear.", extra=RARE)] = (
        "all-linear"
    )
    depth: Annotated[
        float,
        Meta(gt=0, le=1, description="Share of the blocks that get an adapter, from the top.", extra=RARE),
    ] = 0.5
    """Below the lowest of these blocks no gradient need be computed."""


class TrainingConfig(Struct, kw_only=True):
    """The training loop: Transformers' own settings under their names."""

    learning_rate: Annotated[float, Meta(ge=0, description="Peak learning rate.")] = 5e-4
    num_train_epochs: Annotated[
        float, Meta(ge=0, description="Passes over the sessions; 0: 2 for pairs, else 1.")
    ] = 0
    max_steps: Annotated[int, Meta(ge=0, description="Optimiser steps; if not 0, instead of epochs.")] = 0
    per_device_train_batch_size: Annotated[
        int, Meta(ge=1, description="Examples in a batch of one process.", extra=RARE)
    ] = 8
    gradient_accumulation_steps: Annotated[
        int, Meta(ge=1, description="Batches in an optimiser step.", extra=RARE)
    ] = 1
    warmup_ratio: Annotated[
        float, Meta(ge=0, le=1, description="Share of steps in which the rate rises.", extra=RARE)
    ] = 0.05
    lr_scheduler_type: Annotated[
        Literal["linear", "cosine"], Meta(description="How the rate falls after that.", extra=RARE)
    ] = "linear"
    seed: Annotated[int, Meta(description="Seed of everything random.")] = 0
    precision: Annotated[
        Precision, Meta(description="Of the weights; auto: bf16 where it is native.", extra=RARE)
    ] = "auto"
    world_size: int = 1
    """So many processes read batches side by side; a run goes on in any number of processes as it was begun."""


class StudentConfig(Struct, kw_only=True):
    """Everything that shapes what an adapter learnt and how it is asked."""

    v: int = VERSION
    student: Annotated[str, Meta(description="Model folder, hub id, packaged name, or what kdb export made.")] = (
        weights.STUDENT
    )
    base: str = ""
    """Hash of the weights under the adapter: it is put on no others, wherever they lie."""
    prompt_hash: str = ""
    """Hash of the prompts; another version of kdb with other prompts refuses the adapter."""
    load_in_4bit: Annotated[
        bool, Meta(description="QLoRA: the weights under the adapter in 4 bits (CUDA, bitsandbytes).", extra=RARE)
    ] = False
    """Where that cannot be, inference has them in full."""
    experts: dict[str, str] = {}
    """Where a router was trained over adapters: their names and the hashes of their folders."""
    method: MethodConfig = field(default_factory=MethodConfig)
    context: ContextConfig = field(default_factory=ContextConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def settings(config: StudentConfig) -> dict[str, Any]:
    """The configuration as the settings of a `run` record: those of `method` and `context` stand on top."""
    found: dict[str, Any] = msgspec.to_builtins(config)
    return found | found.pop("method") | found.pop("context")


def save(config: StudentConfig, folder: Path) -> None:
    """Write `kdb.json`."""
    encoded = msgspec.json.format(msgspec.json.encode(config), indent=2)
    (folder / FILE).write_bytes(encoded + b"\n")


def read(folder: Path) -> StudentConfig:
    """The configuration of an adapter, of any version so far; KdbError where there is none or a broken one."""
    file = folder / FILE
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        version = found.get("v", 1)
        if not isinstance(version, int) or version > VERSION:
            raise KdbError(f"{file}: written in version {version}, this kdb reads up to {VERSION}", "upgrade kdb")
        if version < 2:
            found = config_v1.upgrade(found)
        elif isinstance(found.get("method"), dict):
            found["method"].setdefault("normalised_states", False)  # adapters from before it was a setting
        return msgspec.convert(found, StudentConfig)
    except FileNotFoundError:
        merged = (folder / METADATA_FOLDER / FILE).is_file()
        hint = "it is a merged model: pass it as --student" if merged else "train one with kdb train"
        raise KdbError(f"{folder}: no {FILE}, so not an adapter of kdb", hint) from None
    except (OSError, ValueError, RecursionError) as error:  # msgspec's errors and those of UTF-8 are ValueErrors
        raise KdbError(f"{file}: {error}") from None


def config_folder(student: str, adapter: Path | None) -> Path | None:
    """The folder with the configuration of an adapter, or of a student merged with one; else None."""
    merged = Path(student) / METADATA_FOLDER
    return adapter or (merged if (merged / FILE).is_file() else None)
