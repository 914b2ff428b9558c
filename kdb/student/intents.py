"""Intents of bundles, written by the student with an adapter of its own: titles in, a few words out.

An answer format that says which items belong together need not say what for. A second adapter over the same
weights learns that from the intents of the training bundles, and writes in a grammar for words of any script. It
also reads the intents of the most similar training bundles (retrieval-augmented generation, Lewis et al., 2020).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from kdb import prompts
from kdb.prompts.answers.intent_text import GRAMMAR, plain_intent
from kdb.prompts.messages import Message
from kdb.records import Bundle, Prediction, Session
from kdb.retrieval.embedder import Embedder
from kdb.retrieval.labels import Labels, weight_of
from kdb.student import intent_neighbours
from kdb.student.adapter import load_adapter
from kdb.student.examples import Example, length_grouped_batches, prompt_ids, text_example
from kdb.student.generate import Generator
from kdb.student.intent_neighbours import IntentNeighbours
from kdb.student.model import Student

FOLDER = "intents"
"""The folder of the second adapter in that of the first, and its name on the model."""
PROMPT, SIMILAR_PROMPT = "intent", "intent_similar"
TITLE_LENGTH = 60
MAX_ITEMS = 8
"""So many titles of a bundle are read; more say little that is new."""
MAX_NEW_TOKENS = 64


def intent_messages(titles: Sequence[str], similar: Sequence[str] = ()) -> list[Message]:
    """The chat messages that ask for the intent of a bundle of products, `similar` being intents of others."""
    lines = _lines([prompts.sanitized(title, TITLE_LENGTH) for title in titles[:MAX_ITEMS]])
    if similar:
        lines += "\n" + prompts.render(SIMILAR_PROMPT, {"intents": _lines([plain_intent(own) for own in similar])})
    return [
        {"role": "system", "content": prompts.template(PROMPT)},
        {"role": "user", "content": lines},
    ]


def _lines(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def bundle_titles(session: Session, bundle: Bundle) -> list[str]:
    """The titles of a bundle's items, in the order of the bundle."""
    titles = {item.id: item.title for item in session.items}
    return [titles[item] for item in bundle.items]


def named_bundles(sessions: Sequence[Session]) -> list[tuple[Session, Bundle]]:
    """The bundles to learn that have an intent, each with its session."""
    return [(session, bundle) for session in sessions for bundle in session.truth or [] if bundle.intent.strip()]


def neighbours_of(embedder: Embedder, sessions: Sequence[Session]) -> IntentNeighbours:
    """The bundles of these sessions as neighbours of others."""
    known = named_bundles(sessions)
    titles = [bundle_titles(session, bundle) for session, bundle in known]
    intents = [plain_intent(bundle.intent) for _, bundle in known]
    return IntentNeighbours.of(embedder, titles, intents, [_key(session) for session, _ in known])


def _key(session: Session) -> str:
    return f"{session.domain}/{session.id}"


def intent_examples(
    student: Student,
    sessions: Sequence[Session],
    labels: Labels,
    neighbours: IntentNeighbours,
    seed: int,
    epoch: int,
) -> list[Example]:
    """An example for each bundle to learn that has an intent, its titles in an order drawn anew each epoch.

    What it shows of neighbours is of other sessions.
    """
    rng = random.Random(f"{seed}:intents:{epoch}")
    found, known = [], named_bundles(sessions)
    titles = [bundle_titles(session, bundle) for session, bundle in known]
    similar = neighbours.nearest(titles, [_key(session) for session, _ in known])
    for (session, bundle), own, shown in zip(known, titles, similar, strict=True):
        rng.shuffle(own)
        example = text_example(student.tokenizer, intent_messages(own, shown), plain_intent(bundle.intent))
        found.append(replace(example, weight=weight_of(session, labels)))
    return found


def write_intents(
    student: Student, bundles: Sequence[Sequence[str]], batch_size: int, neighbours: IntentNeighbours | None = None
) -> list[str]:
    """The intent of each bundle, given by the titles of its items; never empty."""
    generator, tokenizer = Generator(student), student.tokenizer
    similar = neighbours.nearest(bundles) if neighbours else [[]] * len(bundles)
    asked = [
        prompt_ids(tokenizer, intent_messages(titles, shown))
        for titles, shown in zip(bundles, similar, strict=True)
    ]
    found = [""] * len(asked)
    for indices in length_grouped_batches([len(ids) for ids in asked], batch_size):
        made = generator.generate([asked[i] for i in indices], [GRAMMAR] * len(indices), MAX_NEW_TOKENS)
        for i, answer in zip(indices, made, strict=True):
            found[i] = plain_intent(answer.text)
    return found


class IntentWriter:
    """Writes the intents that predictions lack, with an adapter of its own on the student's weights.

    It takes the place of the first adapter while it writes; a merged student has none at other times.
    """

    def __init__(self, student: Student, folder: Path, batch_size: int, embedder: Embedder) -> None:
        import torch

        self.neighbours = intent_neighbours.load(folder, embedder)
        dtype = student.model.dtype
        self.first = student.model.active_adapter if hasattr(student.model, "peft_config") else ""
        student.model = load_adapter(student.model, folder, FOLDER)
        for weight in filter(torch.is_floating_point, student.model.parameters()):
            weight.data = weight.data.to(dtype)
        student.model.to(student.device).eval()
        self.student, self.batch_size = student, batch_size
        self._set_first()

    def fill(self, sessions: Sequence[Session], predictions: Sequence[Prediction]) -> list[Prediction]:
        """The predictions for these sessions, with an intent for each bundle that had none."""
        wanted = [
            bundle_titles(session, bundle)
            for session, prediction in zip(sessions, predictions, strict=True)
            for bundle in prediction.bundles
            if not bundle.intent
        ]
        with self._active():
            written = iter(write_intents(self.student, wanted, self.batch_size, self.neighbours) if wanted else [])
        return [
            structs.replace(
                prediction,
                bundles=[b if b.intent else structs.replace(b, intent=next(written)) for b in prediction.bundles],
            )
            for prediction in predictions
        ]

    @contextmanager
    def _active(self) -> Iterator[None]:
        """Let the second adapter take the place of the first."""
        model = self.student.model
        model.base_model.enable_adapter_layers()
        model.set_adapter(FOLDER, inference_mode=True)
        try:
            yield
        finally:
            self._set_first()

    def _set_first(self) -> None:
        model = self.student.model
        if self.first:
            model.set_adapter(self.first, inference_mode=True)
        else:
            model.base_model.disable_adapter_layers()
