"""Conversations as token ids: what the model reads, and at which positions it is asked for which token."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdb.errors import KdbError
from kdb.prompts.messages import Message

ANSWER, THOUGHT = "answer", "thought"
"""Tasks."""


@dataclass(slots=True)
class Example:
    """One sequence. After reading `input_ids[p]` for the n-th p in `answer_positions`, `labels[n]` should follow.

    With `allowed_tokens`, only these compete there; without, the whole vocabulary does. `task` names what is
    practised: the tasks of a step weigh the same, however many tokens each has. The loss is multiplied by `weight`.
    """

    input_ids: list[int]
    answer_positions: list[int]
    labels: list[int]
    allowed_tokens: tuple[int, ...] = ()
    task: str = ANSWER
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def prompt(self) -> list[int]:
        """What is read before any answer. Where some tokens alone are allowed, no answer is ever written."""
        return self.input_ids if self.allowed_tokens else self.input_ids[: self.answer_positions[0] + 1]

    def with_prefix(self, prefix: Sequence[int]) -> Example:
        """The same example, read after a prefix."""
        places = [len(prefix) + p for p in self.answer_positions]
        return replace(self, input_ids=[*prefix, *self.input_ids], answer_positions=places)


def prompt_ids(tokenizer: Any, turns: Sequence[Message]) -> list[int]:
    """The tokens of a conversation up to the student's turn, by the model's own chat template if it has one."""
    if tokenizer.chat_template:
        text = _templated(tokenizer, turns)
    else:
        text = "\n\n".join(turn["content"] for turn in turns) + "\n\n"
    return list(tokenizer(text, add_special_tokens=not tokenizer.chat_template).input_ids)


def _templated(tokenizer: Any, turns: Sequence[Message]) -> str:
    """The text of a conversation; where a template knows no system role, the first user says that too."""
    from jinja2 import TemplateError

    ways = [list(turns)]
    if turns[0]["role"] == "system" and len(turns) > 1:
        merged = f"{turns[0]['content']}\n\n{turns[1]['content']}"
        ways.append([{"role": "user", "content": merged}, *turns[2:]])
    reason = "it leaves out the system message"
    for own in ways:
        try:
            text: str = tokenizer.apply_chat_template(own, tokenize=False, add_generation_prompt=True)
        except (TemplateError, ValueError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            continue
        if own[0]["content"].strip() in text:
            return text
    raise KdbError(f"the student's chat template fails: {reason}", "take another student, or remove its template")


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text, without those that frame it; what looks like a control token is text as any other."""
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids)


def truncate(tokenizer: Any, text: str, max_tokens: int) -> str:
    """`text`, cut where it has more than so many tokens."""
    ids = token_ids(tokenizer, text)
    return text if len(ids) <= max_tokens else tokenizer.decode(ids[:max_tokens]).rstrip("\ufffd")


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
