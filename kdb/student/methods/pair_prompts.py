"""A session as the yes/no questions of the answer format pairs, and what a student says to them.

A prompt asks about one item, the anchor, together with each other one. All prompts of a session begin with the same
prefix: what is known, and demonstrations, which are prompts of solved sessions with their answers written out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdb import prompts
from kdb.partitions import mbr
from kdb.prompts.messages import Demo, PromptContext, Query, knowledge_text, thought_text
from kdb.records import Bundle, Item
from kdb.student.examples import Example, length_grouped_batches, token_ids
from kdb.student.model import Prefix, Student, StudentTokenizer, answer_logits, read_prefix

TITLE_LENGTH = 60
DEMO_ROWS = 3
"""A demonstration has at most so many rows."""

TOKENS_ON_CPU = 2048
"""What a processor reads at once: what more leaves behind in each layer does not fit into its cache."""

Floats = NDArray[np.float32]


@dataclass
class EncodedQuery:
    """A query that fits into the prompt: `prefix` is how `context` reads."""

    items: list[Item]
    prefix: list[int]
    context: PromptContext
    context_dropped: int = 0


class PairPrompts:
    """The prompts about a session as token ids; each text is tokenised once."""

    def __init__(self, student: Student | StudentTokenizer, max_prompt_tokens: int) -> None:
        self.tokenizer = student.tokenizer
        self.max_prompt_tokens = min(max_prompt_tokens, student.context_length)
        self._kept: dict[str, list[int]] = {}
        self.choices = (self._ids(" no")[0], self._ids(" yes")[0])

    def encode(self, query: Query) -> EncodedQuery:
        """The query with as much beside it as the longest of its prompts may hold."""
        items, context, context_dropped = query.items[: mbr.MAX_ITEMS], query.context, 0
        prefix = self._prefix(context)
        longest = max((len(self.anchor_prompt(items, n)) for n in range(len(items))), default=0) if prefix else 0
        while prefix and len(prefix) + longest > self.max_prompt_tokens:
            context = context.drop_least_useful()
            context_dropped += 1
            prefix = self._prefix(context)
        return EncodedQuery(items, prefix, context, context_dropped)

    def anchor_prompt(self, items: Sequence[Item], anchor: int, together: Sequence[bool] = ()) -> Example:
        """One anchor with all other items in order, without a prefix; labels say which are `together` with it.

        Where that is not known, the labels mean nothing.
        """
        ids = list(self._anchor(items[anchor]))
        places: list[int] = []
        labels: list[int] = []
        for n, item in enumerate(items):
            if n != anchor:
                ids += self._other(item)
                places.append(len(ids) - 1)
                labels.append(self.choices[bool(together) and together[n]])
        return Example(ids, places, labels, self.choices)

    def questions(self, query: EncodedQuery) -> Iterator[tuple[int, int, list[int]]]:
        """An anchor, another item, and all that is read before the student says whether they are together."""
        for anchor in range(len(query.items)):
            prompt = self.anchor_prompt(query.items, anchor)
            others = [n for n in range(len(query.items)) if n != anchor]
            for other, place in zip(others, prompt.answer_positions, strict=True):
                yield anchor, other, query.prefix + prompt.input_ids[: place + 1]

    def tokens(self, query: EncodedQuery) -> int:
        """How many tokens are read for all prompts about a session."""
        return len(query.prefix) + sum(len(self.anchor_prompt(query.items, n)) for n in range(len(query.items)))

    def _prefix(self, context: PromptContext) -> list[int]:
        parts = [self._ids(knowledge_text(context.knowledge))] if context.knowledge else []
        for demo in context.demos:
            parts += self._demo(demo)
        return [token for part in parts for token in [*part, *self._ids("\n\n")]]

    def _demo(self, demo: Demo) -> Iterator[list[int]]:
        """The thought, then a row for each item with which a bundle begins; without bundles, one row."""
        if demo.thought:
            yield self._ids(thought_text(demo.thought))
        items = demo.session.items[: mbr.MAX_ITEMS]
        together = co_bundled([item.id for item in items], demo.session.truth or [])
        anchors = [n for n, others in enumerate(together) if any(others) and not any(others[:n])]
        for anchor in anchors[:DEMO_ROWS] or [0]:
            row = list(self._anchor(items[anchor]))
            for n, item in enumerate(items):
                if n != anchor:
                    row += [*self._other(item), self.choices[together[anchor][n]]]
            yield row

    def _anchor(self, item: Item) -> list[int]:
        return self._ids(prompts.render("pairs", {"anchor": prompts.sanitized(item.title, TITLE_LENGTH)}))

    def _other(self, item: Item) -> list[int]:
        return self._ids("\n" + prompts.render("pairs_item", {"item": prompts.sanitized(item.title, TITLE_LENGTH)}))

    def _ids(self, text: str) -> list[int]:
        if text not in self._kept:
            self._kept[text] = token_ids(self.tokenizer, text)
        return self._kept[text]


def co_bundled(items: Sequence[str], bundles: Sequence[Bundle]) -> list[list[bool]]:
    """Whether two different items (by id) share a bundle: (n, n)."""
    sets = [set(bundle.items) for bundle in bundles]
    return [[a != b and any({a, b} <= own for own in sets) for b in items] for a in items]


def reorder(query: EncodedQuery, odds: Floats, wanted: EncodedQuery) -> Floats:
    """The log odds of a session's pairs, for the same items in the order of `wanted`."""
    place = {item.id: n for n, item in enumerate(query.items)}
    order = [place[item.id] for item in wanted.items]
    return odds[np.ix_(order, order)]


def log_odds(
    student: Student, pairs: PairPrompts, queries: Sequence[EncodedQuery], batch_size: int
) -> list[Floats]:
    """The log odds of yes for each anchor (row) and each other item (column): (n, n) a query.

    Prompts without a prefix are read in batches over all queries. A prefix is read once a query.
    """
    found = [np.zeros((len(query.items), len(query.items)), dtype=np.float32) for query in queries]
    bare = [
        (n, anchor) for n, query in enumerate(queries) if not query.prefix for anchor in range(len(query.items))
    ]
    score_anchors(student, pairs, queries, bare, batch_size, found)
    for n, query in enumerate(queries):
        if query.prefix:
            prefix = read_prefix(student, query.prefix)
            own = [(n, anchor) for anchor in range(len(query.items))]
            score_anchors(student, pairs, queries, own, batch_size, found, prefix)
    return found


def score_anchors(
    student: Student,
    pairs: PairPrompts,
    queries: Sequence[EncodedQuery],
    places: Sequence[tuple[int, int]],
    batch_size: int,
    found: Sequence[Floats],
    prefix: Prefix | None = None,
) -> None:
    """Read the prompts at `places` (query, anchor) and put the log odds into `found`."""
    import torch

    places = [(n, anchor) for n, anchor in places if len(queries[n].items) > 1]
    examples = [pairs.anchor_prompt(queries[n].items, anchor) for n, anchor in places]
    no, yes = pairs.choices
    tokens = TOKENS_ON_CPU if student.device.type == "cpu" else 0
    with torch.inference_mode():
        for indices in length_grouped_batches([len(example) for example in examples], batch_size, tokens=tokens):
            part = [examples[i] for i in indices]
            logits = answer_logits(student, part, prefix)
            odds = iter((logits[:, yes] - logits[:, no]).tolist())
            for n, anchor in (places[i] for i in indices):
                for other in range(len(queries[n].items)):
                    if other != anchor:
                        found[n][anchor, other] = next(odds)
