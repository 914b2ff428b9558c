"""What an adapter was made with. It is saved beside the weights as `kdb.json`, and inference reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field

from kdb import weights
from kdb.errors import KdbError
from kdb.records import KnowledgeFormat

FILE = "kdb.json"
METADATA_FOLDER = "kdb"
"""The folder in a merged model for what only kdb needs: vLLM takes any `*.safetensors` beside it for weights."""
PAIRS = "pairs"
"""The answer format in which a student's probabilities are decoded; all others are text."""


Retrieval = Literal["session", "item"]
"""How demonstrations are near: by all titles of a session as one text, or item by item."""
ThoughtMode = Literal["answer", "thought+answer", "both"]
"""What a student writes: its answer, a thought and then the answer, or each as a task of its own.

`both` is distilling step by step (Hsieh et al., arXiv 2305.02301): thoughts only teach, and are not asked for
at inference.
"""


Aggregation = Literal["answer", "bundles", "pairs"]
"""What several answers about a session vote on: which of them is given, or each bundle, or each pair of items."""


class LoraConfig(Struct, kw_only=True):
    """The adapter: PEFT's own settings, under their usual names."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str = "all-linear"
    """Names of the layers that get an adapter, separated by commas, or `all-linear`."""
    depth: float = 0.5
    """The share of the blocks that get one, from the top: below the lowest no gradient need be computed."""


class TrainingConfig(Struct, kw_only=True):
    """The course of training. `steps` counts optimiser steps and, if not 0, is used instead of `epochs`."""

    learning_rate: float = 5e-4
    epochs: float = 1
    steps: int = 0
    batch: int = 8
    processes: int = 1
    """So many batches are read side by side; a run goes on in any number of processes as it was begun."""
    accumulate: int = 1
    warmup: float = 0.05
    seed: int = 0
    precision: str = "auto"


class StudentConfig(Struct, kw_only=True):
    """Everything that shapes what an adapter learnt and how it is asked."""

    v: int = 1
    student: str = weights.STUDENT
    answer: str = PAIRS
    intents: bool = False
    prompt: str = ""
    """Hash of the prompts; another version of kdb with other prompts refuses the adapter."""
    demos: int = 0
    knowledge: int = 0
    """So many patterns and rules stand beside a session; with any, demonstrations come with their thoughts."""
    formats: list[KnowledgeFormat] = field(default_factory=list)
    """The formats of knowledge in use; empty: all that there are."""
    neighbours: Retrieval = "session"
    target: ThoughtMode = "answer"
    max_thought_tokens: int = 256
    """Thoughts that the student writes are no longer."""
    load_in_4bit: bool = False
    """Whether the weights under the adapter are in 4 bits; where that cannot be, inference has them in full."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    experts: dict[str, str] = field(default_factory=dict)
    """Where a router was trained over adapters: their names and the hashes of their folders."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    objective: str = "f1"
    """What decisions aim at unless another objective is asked for (answer format pairs only)."""
    evidence: bool = True
    """Whether what needs no language model is decoded with the student's answers (pairs only)."""


def save(recipe: StudentConfig, folder: Path) -> None:
    """Write `kdb.json`."""
    encoded = msgspec.json.format(msgspec.json.encode(recipe), indent=2)
    (folder / FILE).write_bytes(encoded + b"\n")


def read(folder: Path) -> StudentConfig:
    """The recipe of an adapter; KdbError where the folder holds none or a broken one."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=StudentConfig)
    except FileNotFoundError:
        merged = (folder / METADATA_FOLDER / FILE).is_file()
        hint = "it is a merged model: pass it as --student" if merged else "train one with kdb train"
        raise KdbError(f"{folder}: no {FILE}, so not an adapter of kdb", hint) from None
    except (OSError, msgspec.DecodeError) as error:
        raise KdbError(f"{folder / FILE}: {error}") from None


def taught(student: str, adapter: Path | None) -> Path | None:
    """The folder with the recipe of an adapter, or of a student that `kdb export` merged with one; else None."""
    beside = Path(student) / METADATA_FOLDER
    return adapter or (beside if (beside / FILE).is_file() else None)
