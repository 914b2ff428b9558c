"""`kdb.json` of version 1, as it would be written today."""

from __future__ import annotations

from typing import Any

THOUGHTS = {"answer": "none", "thought+answer": "first", "both": "auxiliary"}
LORA = {"rank": "r", "alpha": "lora_alpha", "dropout": "lora_dropout", "targets": "target_modules"}
TRAINING = {
    "epochs": "num_train_epochs",
    "steps": "max_steps",
    "batch": "per_device_train_batch_size",
    "processes": "world_size",
    "accumulate": "gradient_accumulation_steps",
    "warmup": "warmup_ratio",
}
METHOD = {"answer": "answer", "intents": "intents", "max_thought_tokens": "max_thought_tokens"}
METHOD |= {"evidence": "pair_features", "objective": "utility"}
ANSWERS = {"pairs": "pair-prompts"}
"""Answer formats that have another name today; `pairs` was the default."""
CONTEXT = {"demos": "demos", "knowledge": "knowledge", "formats": "formats", "neighbours": "retrieval"}


def upgrade(old: dict[str, Any]) -> dict[str, Any]:
    """The fields of version 2; what is no field of version 1 is left out. ValueError where a value has none."""
    top = ("student", "load_in_4bit", "experts")
    thoughts = old.get("target", "answer")
    if thoughts not in THOUGHTS:
        raise ValueError(f"target: {thoughts!r} is none of {', '.join(THOUGHTS)}")
    answer = old.get("answer", "pairs")
    return {
        **{name: old[name] for name in top if name in old},
        "prompt_hash": old.get("prompt", ""),
        "method": {**_renamed(old, METHOD), "answer": ANSWERS.get(answer, answer), "thoughts": THOUGHTS[thoughts]},
        "context": _renamed(old, CONTEXT),
        "lora": _all_renamed(old.get("lora", {}), LORA),
        "training": _all_renamed(old.get("training", {}), TRAINING),
    }


def _renamed(old: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {new: old[name] for name, new in names.items() if name in old}


def _all_renamed(old: Any, names: dict[str, str]) -> dict[str, Any]:
    if not isinstance(old, dict):
        raise ValueError(f"an object was expected, not {old!r}")
    found: dict[str, Any] = old
    return {names.get(name, name): value for name, value in found.items()}
