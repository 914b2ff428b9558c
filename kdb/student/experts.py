"""What adapters must have in common for a router over them: one prompt, to which each of them has an answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from kdb.errors import UsageError
from kdb.provenance import file_hash
from kdb.student.adapter import read_config
from kdb.student.config import StudentConfig

PROMPT_FIELDS = ("student", "load_in_4bit", "answer", "intents", "demos", "knowledge", "neighbours")
"""What decides on the prompt and the form of the answer; where knowledge is shown, its formats do too."""


def routed_config(recipe: StudentConfig, experts: Sequence[Path]) -> StudentConfig:
    """The recipe for a router: asked as the experts are, trained as `recipe` says; UsageError where they differ."""
    if len({folder.name for folder in experts}) < max(2, len(experts)):
        raise UsageError("--route needs two or more adapters, in folders of different names", "name them by commas")
    recipes = [read_config(folder) for folder in experts]
    for folder, own in zip(experts, recipes, strict=True):
        if own.experts:
            raise UsageError(f"{folder} is a router itself", "name its experts")
        if own.target == "thought+answer":
            raise UsageError(
                f"{folder} writes a thought before its answer", "route experts of --target answer or both"
            )
        for name, value in _asked(own).items():
            wanted = _asked(recipes[0])[name]
            if value != wanted:
                raise UsageError(
                    f"{folder} was trained with another prompt than {experts[0]}: {name} is {value}, not {wanted}",
                    "train all experts with the same",
                )
    hashes = {folder.name: file_hash(folder) for folder in sorted(experts, key=lambda folder: folder.name)}
    shared = {**_asked(recipes[0]), "formats": recipes[0].formats, "lora": recipes[0].lora}
    return msgspec.structs.replace(recipe, **shared, target="answer", experts=hashes)


def _asked(recipe: StudentConfig) -> dict[str, Any]:
    found = {name: getattr(recipe, name) for name in PROMPT_FIELDS}
    return {**found, "formats": sorted(recipe.formats)} if recipe.knowledge else found
