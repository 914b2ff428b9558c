"""What adapters must have in common for a router over them: one prompt, to which each of them has an answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from kdb.errors import UsageError
from kdb.student import adapter
from kdb.student.config import StudentConfig
from kdb.student.methods.build import answer_class, read_config


def routed_config(config: StudentConfig, experts: Sequence[Path]) -> StudentConfig:
    """The configuration for a router: asked as the experts are, trained as `config` says.

    UsageError where the experts differ in what decides on the prompt and the form of the answer.
    """
    if len({folder.name for folder in experts}) < max(2, len(experts)):
        raise UsageError("--route needs two or more adapters, in folders of different names", "name them by commas")
    configs = [read_config(folder) for folder in experts]
    wanted = _prompt_fields(configs[0])
    for folder, own in zip(experts, configs, strict=True):
        if own.experts:
            raise UsageError(f"{folder} is a router itself", "name its experts")
        if not answer_class(own.method).is_text and not answer_class(own.method).has_tokens:
            raise UsageError(f"{folder} reads a session as a whole", "route experts of another answer format")
        if own.method.thoughts == "first":
            raise UsageError(
                f"{folder} writes a thought before its answer", "route experts of --thoughts none or auxiliary"
            )
        for name, value in _prompt_fields(own).items():
            if value != wanted[name]:
                raise UsageError(
                    f"{folder} was trained with another prompt than {experts[0]}: "
                    f"{name} is {value}, not {wanted[name]}",
                    "train all experts with the same",
                )
    first = configs[0]
    return msgspec.structs.replace(
        config,
        student=first.student,
        base=first.base,
        load_in_4bit=first.load_in_4bit,
        method=msgspec.structs.replace(first.method, thoughts="none"),
        context=first.context,
        lora=first.lora,
        experts={
            folder.name: adapter.identity(folder) for folder in sorted(experts, key=lambda folder: folder.name)
        },
    )


def _prompt_fields(config: StudentConfig) -> dict[str, Any]:
    """What decides on the prompt and the form of the answer; where knowledge is shown, its formats do too."""
    found: dict[str, Any] = msgspec.to_builtins(config.context)
    formats = sorted(found.pop("formats"))
    found |= {"student": config.student, "load_in_4bit": config.load_in_4bit, "answer": config.method.answer}
    found |= {"base": config.base, "intents": config.method.intents}
    return {**found, "formats": formats} if config.context.knowledge else found
