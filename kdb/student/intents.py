"""Intents of bundles, written by the student with an adapter of its own: titles in, a few words out.

An answer format that says which items belong together need not say what for. A second adapter over the same weights
learns that from the intents of the training bundles, and writes in a grammar that holds words of any script.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from kdb import prompts
from kdb.prompts.answers.intent_text import GRAMMAR, plain_intent
from kdb.prompts.messages import Message
from kdb.records import Bundle, Session
from kdb.student.examples import Example, length_grouped_batches, prompt_ids, text_example
from kdb.student.generate import Generator
from kdb.student.model import Student

PROMPT = "intent"
TITLE_LENGTH = 60
MAX_ITEMS = 8
"""So many titles of a bundle are read; more say little that is new."""
MAX_NEW_TOKENS = 64


def intent_messages(titles: Sequence[str]) -> list[Message]:
    """The chat messages that ask for the intent of a bundle of products with these titles."""
    lines = "\n".join(f"- {prompts.sanitized(title, TITLE_LENGTH)}" for title in titles[:MAX_ITEMS])
    return [
        {"role": "system", "content": prompts.template(PROMPT)},
        {"role": "user", "content": lines},
    ]


def bundle_titles(session: Session, bundle: Bundle) -> list[str]:
    """The titles of a bundle's items, in the order of the bundle."""
    titles = {item.id: item.title for item in session.items}
    return [titles[item] for item in bundle.items]


def intent_examples(student: Student, sessions: Sequence[Session], seed: int, epoch: int) -> list[Example]:
    """An example for each true bundle that has an intent, its titles in an order drawn anew each epoch."""
    rng = random.Random(f"{seed}:intents:{epoch}")
    found = []
    for session in sessions:
        for bundle in session.truth or []:
            if bundle.intent.strip():
                titles = bundle_titles(session, bundle)
                rng.shuffle(titles)
                said = plain_intent(bundle.intent)
                found.append(text_example(student.tokenizer, intent_messages(titles), said))
    return found


def write_intents(student: Student, bundles: Sequence[Sequence[str]], batch_size: int) -> list[str]:
    """The intent of each bundle, given by the titles of its items; never empty."""
    generator, tokenizer = Generator(student), student.tokenizer
    asked = [prompt_ids(tokenizer, intent_messages(titles)) for titles in bundles]
    found = [""] * len(asked)
    for indices in length_grouped_batches([len(ids) for ids in asked], batch_size):
        made = generator.generate([asked[i] for i in indices], [GRAMMAR] * len(indices), MAX_NEW_TOKENS)
        for i, answer in zip(indices, made, strict=True):
            found[i] = plain_intent(answer.text)
    return found
