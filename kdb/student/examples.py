"""Conversations as token ids: what the model reads, and at which positions it is asked for which token."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdb.prompts.messages import Message

ANSWER, THOUGHT = "answer", "thought"
"""Tasks."""


@dataclass(slots=True)
class Example:
    """One sequence. After reading `ids[p]` for the n-th p in `positions`, the model should say `targets[n]`.

    With `choices`, only these tokens compete there; without, the whole vocabulary does. `task` names what is
    practised: the tasks of a step weigh the same, however many tokens each has.
    """

    ids: list[int]
    positions: list[int]
    targets: list[int]
    choices: tuple[int, ...] = ()
    task: str = ANSWER

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def prompt(self) -> list[int]:
        """What is read before any answer. Where only choices are asked for, no answer is ever written."""
        return self.ids if self.choices else self.ids[: self.positions[0] + 1]

    def after(self, prefix: Sequence[int]) -> Example:
        """The same example, read after a prefix."""
        shift = len(prefix)
        return replace(self, ids=[*prefix, *self.ids], positions=[shift + p for p in self.positions])


def prompt_ids(tokenizer: Any, turns: Sequence[Message]) -> list[int]:
    """The tokens of a conversation up to the student's turn, by the model's own chat template if it has one."""
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=True)
    else:
        text = "\n\n".join(turn["content"] for turn in turns) + "\n\n"
    return list(tokenizer(text, add_special_tokens=not tokenizer.chat_template).input_ids)


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text without those that frame it."""
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def shortened(tokenizer: Any, text: str, most: int) -> str:
    """`text`, cut where it has more than so many tokens."""
    ids = token_ids(tokenizer, text)
    return text if len(ids) <= most else tokenizer.decode(ids[:most]).rstrip("\ufffd")


def text_example(tokenizer: Any, turns: Sequence[Message], *target: str) -> Example:
    """An example whose answer is the target, then the end of the turn; loss falls on these tokens only.

    The parts of a target are tokenised apart, as they are where a student writes them one after another.
    """
    prompt = prompt_ids(tokenizer, turns)
    answer = [token for part in target for token in token_ids(tokenizer, part)] + [tokenizer.eos_token_id]
    ids = prompt + answer[:-1]
    first = len(prompt) - 1
    return Example(ids, list(range(first, len(ids))), answer)


def length_grouped_batches(
    lengths: Sequence[int], size: int, rng: random.Random | None = None, tokens: int = 0
) -> list[list[int]]:
    """Indices in batches of at most `size` and of like length, so that little is padded.

    No batch of two or more has over `tokens` tokens, padding included, if that is not 0.
    With `rng` the examples are shuffled first and grouped within stretches of 32 batches, and the batches
    come in random order; without, the longest come first.
    """
    order = list(range(len(lengths)))
    stretch = len(order)
    if rng is not None:
        rng.shuffle(order)
        stretch = 32 * size
    found = []
    for start in range(0, len(order), max(stretch, 1)):
        part = sorted(order[start : start + stretch], key=lambda i: -lengths[i])
        first = 0
        while first < len(part):
            longest = lengths[part[first]]
            most = max(1, min(size, tokens // longest)) if tokens else size
            found.append(part[first : first + most])
            first += most
    if rng is not None:
        rng.shuffle(found)
    return found
