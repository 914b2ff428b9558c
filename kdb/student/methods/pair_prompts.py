"""PairPrompts: a session as the yes/no questions of the answer format pairs, and what a student says to them.

A row asks about one item, the anchor, together with each other one. All rows of a session begin with the same
prefix: what is known, and demonstrations, which are rows of solved sessions with their answers written out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kdb import prompts
from kdb.partitions import mbr
from kdb.prompts.messages import Demo, PromptContext, Query, knowledge_text, thought_text
from kdb.records import Bundle, Item
from kdb.student.examples import Example, length_grouped_batches, token_ids
from kdb.student.model import Prefix, Student, answer_logits, read_prefix

TITLE_LENGTH = 60
DEMO_ROWS = 3
"""A demonstration has at most so many rows."""

TOKENS_ON_CPU = 2048
"""What a processor reads at once: what more leaves behind in each layer does not fit into its cache."""

Key = tuple[tuple[str, ...], tuple[int, ...]]
Floats = NDArray[np.float32]


@dataclass
class EncodedQuery:
    """A question that fits into the prompt: `prefix` is how `shown` reads, `left_out` counts what did not fit."""

    items: list[Item]
    prefix: list[int] = field(default_factory=list)
    shown: PromptContext = field(default_factory=PromptContext)
    left_out: int = 0

    @property
    def key(self) -> Key:
        """What decides on the student's answers."""
        return tuple(item.title for item in self.items), tuple(self.prefix)


class PairPrompts:
    """PairPrompts as token ids; each text is tokenised once."""

    def __init__(self, student: Student, max_prompt_tokens: int) -> None:
        self.tokenizer = student.tokenizer
        self.max_prompt_tokens = min(max_prompt_tokens, student.context)
        self._kept: dict[str, list[int]] = {}
        self.choices = (self._ids(" no")[0], self._ids(" yes")[0])

    def fitted(self, question: Query) -> EncodedQuery:
        """The question with as much beside it as the longest of its prompts may hold."""
        items, shown, left_out = question.items[: mbr.MAX_ITEMS], question.shown, 0
        prefix = self._prefix(shown)
        longest = max((len(self.row(items, anchor)) for anchor in range(len(items))), default=0) if prefix else 0
        while prefix and len(prefix) + longest > self.max_prompt_tokens:
            shown = shown.less()
            left_out += 1
            prefix = self._prefix(shown)
        return EncodedQuery(items, prefix, shown, left_out)

    def row(self, items: Sequence[Item], anchor: int, together: Sequence[bool] = ()) -> Example:
        """One anchor with all other items in order, without a prefix; the targets say which are `together` with it.

        Where that is not known, the targets mean nothing.
        """
        ids = list(self._anchor(items[anchor]))
        found: list[int] = []
        targets: list[int] = []
        for n, item in enumerate(items):
            if n != anchor:
                ids += self._other(item)
                found.append(len(ids) - 1)
                targets.append(self.choices[bool(together) and together[n]])
        return Example(ids, found, targets, self.choices)

    def whole(self, asked: EncodedQuery, anchor: int, together: Sequence[bool]) -> Example:
        """A row as the student reads it in training: after its prefix."""
        return self.row(asked.items, anchor, together).after(asked.prefix)

    def tokens(self, asked: EncodedQuery) -> int:
        """How many tokens are read for all rows of a session."""
        return len(asked.prefix) + sum(len(self.row(asked.items, n)) for n in range(len(asked.items)))

    def _prefix(self, shown: PromptContext) -> list[int]:
        parts = [self._ids(knowledge_text(shown.knowledge))] if shown.knowledge else []
        for demo in shown.demos:
            parts += self._demo(demo)
        return [token for part in parts for token in [*part, *self._ids("\n\n")]]

    def _demo(self, demo: Demo) -> Iterator[list[int]]:
        """The thought, then a row for each item with which a bundle begins; without bundles, one row."""
        if demo.thought:
            yield self._ids(thought_text(demo.thought))
        items = demo.session.items[: mbr.MAX_ITEMS]
        together = shared([item.id for item in items], demo.session.truth or [])
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


def shared(items: Sequence[str], bundles: Sequence[Bundle]) -> list[list[bool]]:
    """Whether two different items (by id) share a bundle: (n, n)."""
    sets = [set(bundle.items) for bundle in bundles]
    return [[a != b and any({a, b} <= own for own in sets) for b in items] for a in items]


def reorder(asked: EncodedQuery, odds: Floats, wanted: EncodedQuery) -> Floats:
    """What was heard of a session's pairs, for the same items in the order of `wanted`."""
    place = {item.id: n for n, item in enumerate(asked.items)}
    order = [place[item.id] for item in wanted.items]
    return odds[np.ix_(order, order)]


def log_odds(student: Student, rows: PairPrompts, sessions: Sequence[EncodedQuery], batch: int) -> list[Floats]:
    """The log odds of yes for each anchor (row) and each other item (column): (n, n) a session.

    PairPrompts without a prefix are read in batches over all sessions. A prefix is read once a session.
    """
    found = [np.zeros((len(asked.items), len(asked.items)), dtype=np.float32) for asked in sessions]
    bare = [
        (n, anchor) for n, asked in enumerate(sessions) if not asked.prefix for anchor in range(len(asked.items))
    ]
    score_rows(student, rows, sessions, bare, batch, found)
    for n, asked in enumerate(sessions):
        if asked.prefix:
            prefix = read_prefix(student.model, asked.prefix)
            own = [(n, anchor) for anchor in range(len(asked.items))]
            score_rows(student, rows, sessions, own, batch, found, prefix)
    return found


def score_rows(
    student: Student,
    rows: PairPrompts,
    sessions: Sequence[EncodedQuery],
    places: Sequence[tuple[int, int]],
    batch: int,
    found: Sequence[Floats],
    prefix: Prefix | None = None,
) -> None:
    """Read the rows at `places` (session, anchor) and put the log odds into `found`."""
    import torch

    places = [(n, anchor) for n, anchor in places if len(sessions[n].items) > 1]
    examples = [rows.row(sessions[n].items, anchor) for n, anchor in places]
    no, yes = rows.choices
    tokens = TOKENS_ON_CPU if student.device.type == "cpu" else 0
    with torch.inference_mode():
        for indices in length_grouped_batches([len(example) for example in examples], batch, tokens=tokens):
            part = [examples[i] for i in indices]
            logits = answer_logits(student.model, part, student.tokenizer.pad_token_id, prefix)
            odds = iter((logits[:, yes] - logits[:, no]).tolist())
            for n, anchor in (places[i] for i in indices):
                for other in range(len(sessions[n].items)):
                    if other != anchor:
                        found[n][anchor, other] = next(odds)
