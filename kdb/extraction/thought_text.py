"""Thoughts: a teacher's reasoning from what products are, over what they are bought for, to the true bundles.

The teacher is shown the truth, so its conclusion is checked, not discovered: a thought that does not end in
exactly the true bundles, or speaks of products that are not there, is not verified.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from kdb import prompts
from kdb.prompts.replies import json_object, to_struct
from kdb.records import Session
from kdb.teacher import Message

PROMPTS = ("teacher", "thought", "thought_again")
STEPS = ("items", "intents", "bundles")
CHECKS = ("form", "order", "products", "bundles")
"""In the form asked for; its steps in order; only products of the session; ends in the true bundles."""

SHORT_TITLE = 60
SENTENCE = 300
"""Titles and sentences are shortened to so many characters in what a student reads."""


class ItemStep(Struct):
    """What one product is, by its number in the session."""

    product: int
    information: str


class IntentStep(Struct):
    """What a bundle is bought for, and how that shows."""

    intent: str
    reason: str


class BundleStep(Struct):
    """The products, by number, that serve an intent."""

    intent: str
    products: list[int]


class Thought(Struct):
    """The three steps of a thought."""

    items: list[ItemStep]
    intents: list[IntentStep]
    bundles: list[BundleStep]


class InvalidThought(ValueError):
    """A thought fails a check: which, and why, in words that the teacher can act on."""

    def __init__(self, check: str, problem: str) -> None:
        super().__init__(problem)
        self.check = check


def _rows(**fields: str | list[str]) -> dict[str, Any]:
    """The schema of a list of objects; every field is required, as strict structured output wants it."""
    types: dict[str, Any] = {
        name: {"type": kind} if isinstance(kind, str) else {"type": "array", "items": {"type": kind[0]}}
        for name, kind in fields.items()
    }
    row = {"type": "object", "properties": types, "required": list(types), "additionalProperties": False}
    return {"type": "array", "items": row}


_STEPS = {
    "items": _rows(product="integer", information="string"),
    "intents": _rows(intent="string", reason="string"),
    "bundles": _rows(intent="string", products=["integer"]),
}
SCHEMA = {"type": "object", "properties": _STEPS, "required": list(STEPS), "additionalProperties": False}


def messages(session: Session) -> list[Message]:
    """The question for a thought about an annotated session."""
    return [
        {"role": "system", "content": prompts.template("teacher")},
        {"role": "user", "content": prompts.render("thought", prompt_fields(session))},
    ]


def prompt_fields(session: Session) -> dict[str, str]:
    """The session as the fields of prompts."""
    place = numbers(session)
    lines = []
    for bundle in session.truth or []:
        products = ", ".join(map(str, sorted(place[i] for i in bundle.items)))
        lines.append(f"- {products} ({prompts.sanitized(bundle.intent) or 'no intent given'})")
    titles = prompts.numbered(item.title for item in session.items)
    return {"products": titles, "count": str(len(session.items)), "bundles": "\n".join(lines)}


def numbers(session: Session) -> dict[str, int]:
    """The number of each item in prompts, counted from 1."""
    return {item.id: n for n, item in enumerate(session.items, 1)}


def parse(text: str) -> Thought:
    """The thought in a teacher's answer; InvalidThought where it is not in the form asked for."""
    try:
        data = json_object(text)
        thought = to_struct(data, Thought)
    except ValueError as error:
        raise InvalidThought("form", str(error)) from None
    if [name for name in data if name in STEPS] != list(STEPS):
        raise InvalidThought("order", "the steps are not in the order items, intents, bundles")
    if not all(any(c.isalpha() for c in sentence) for sentence in _sentences(thought)):
        raise InvalidThought("form", "a sentence is empty")
    return thought


def _sentences(thought: Thought) -> list[str]:
    return [step.information for step in thought.items] + [step.reason for step in thought.intents]


def shortened(thought: Thought) -> int:
    """How many sentences are longer than what a student reads of them."""
    return sum(len(" ".join(sentence.split())) > SENTENCE for sentence in _sentences(thought))


def verify(thought: Thought, session: Session) -> None:
    """InvalidThought where a thought names products not in the session, or ends in other than the true bundles."""
    count, place = len(session.items), numbers(session)
    strangers = sorted({n for n in _named(thought) if not 1 <= n <= count})
    if strangers:
        raise InvalidThought("products", f"there is no product {strangers[0]}: they are numbered from 1 to {count}")
    stated = {frozenset(bundle.products) for bundle in thought.bundles}
    true = {frozenset(place[i] for i in bundle.items) for bundle in session.truth or []}
    if stated != true:
        raise InvalidThought(
            "bundles", f"the bundles must be exactly {_lists(true)}, and it states {_lists(stated)}"
        )


def _named(thought: Thought) -> Iterator[int]:
    """The numbers of all products that a thought names, within its sentences too."""
    yield from (step.product for step in thought.items)
    for bundle in thought.bundles:
        yield from bundle.products
    for sentence in _sentences(thought):
        yield from (int(n) for n in _REFERENCE.findall(sentence))


_REFERENCE = re.compile(r"\b[Pp]roducts? (?:no\. ?|number |#)?(\d{1,4})\b")


def _lists(bundles: set[frozenset[int]]) -> str:
    return "; ".join(str(sorted(bundle)) for bundle in sorted(bundles, key=sorted)) or "none"


def render(thought: Thought, session: Session) -> str:
    """A thought as a student reads it: products by title, since numbers mean nothing in another session."""
    titles = [prompts.sanitized(item.title, SHORT_TITLE) for item in session.items]
    count = len(titles)

    def named(match: re.Match[str]) -> str:
        return f'"{titles[int(match[1]) - 1]}"' if 1 <= int(match[1]) <= count else match[0]

    def sentence(text: str) -> str:
        text = _REFERENCE.sub(named, prompts.sanitized(text, SENTENCE))
        return text if text.endswith((".", "!", "?", "…")) else f"{text}."

    known = [step for step in thought.items if 1 <= step.product <= count]
    items = [f'"{titles[step.product - 1]}": {sentence(step.information)}' for step in known]
    intents = [f"Intent: {sentence(step.intent)} {sentence(step.reason)}" for step in thought.intents]
    bundles = [f"Bundle: {_joined_titles(titles, step.products)}." for step in thought.bundles]
    return "\n".join([*items, *intents, *bundles])


def _joined_titles(titles: list[str], products: list[int]) -> str:
    return " + ".join(f'"{titles[n - 1]}"' for n in products if 1 <= n <= len(titles))
