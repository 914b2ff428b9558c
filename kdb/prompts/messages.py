"""What a student is shown and asked about a session: the one renderer of training and inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from msgspec import UnsetType

from kdb import prompts
from kdb.prompts.answers import TextFormat
from kdb.records import Bundle, Item, Knowledge, Session

Message = dict[str, str]

KNOWLEDGE_LENGTH = 400
"""Pieces of knowledge are shortened to so many characters."""
ANSWER_MARKER = "\nAnswer:\n"
"""Stands between a thought and the answer that follows from it; `answer_after_thought` announces it."""


@dataclass(frozen=True)
class Demo:
    """A solved session as an example, with a thought about it and a corrected attempt at it, if there are any."""

    session: Session
    thought: Knowledge | None = None
    correction: Knowledge | None = None


@dataclass(frozen=True)
class PromptContext:
    """What stands in a prompt beside the session: demonstrations, most similar last, and knowledge."""

    demos: Sequence[Demo] = ()
    knowledge: Sequence[Knowledge] = ()

    @property
    def pieces(self) -> list[Knowledge]:
        """All knowledge in it, that of demonstrations included."""
        return [
            *self.knowledge,
            *(demo.thought for demo in self.demos if demo.thought),
            *(demo.correction for demo in self.demos if demo.correction),
        ]

    def drop_least_useful(self) -> PromptContext:
        """Without what is least useful: the last knowledge, then a thought, a correction or a demonstration, the
        least similar first.
        """
        if self.knowledge:
            return PromptContext(self.demos, self.knowledge[:-1])
        for n, demo in enumerate(self.demos):
            if demo.thought or demo.correction:
                plainer = replace(demo, thought=None, correction=demo.correction if demo.thought else None)
                return PromptContext([*self.demos[:n], plainer, *self.demos[n + 1 :]])
        return PromptContext(self.demos[1:])


@dataclass
class Query:
    """A session as a student is asked about it: its items in the order of the prompt, and what stands beside them.

    `thought` is what is to be learnt about it, `draw` the number of this query among several about the session.
    """

    session: Session
    context: PromptContext = field(default_factory=PromptContext)
    items: list[Item] = field(default_factory=list)
    thought: str = ""
    draw: int = 0

    def __post_init__(self) -> None:
        self.items = self.items or list(self.session.items)

    @property
    def bundles(self) -> list[Bundle]:
        """The true bundles; none where the session is not annotated."""
        return self.session.truth or []


def positions(items: Sequence[Item], bundles: Sequence[Bundle]) -> list[list[int]]:
    """Bundles of item ids as positions in `items`, ascending."""
    place = {item.id: n for n, item in enumerate(items)}
    return [sorted(place[i] for i in bundle.items) for bundle in bundles]


def truth_text(answer: TextFormat, items: Sequence[Item], bundles: Sequence[Bundle]) -> str:
    """The answer that states these bundles, the true ones or others, of items shown in this order."""
    groups = positions(items, bundles)
    return answer.render(groups, [bundle.intent for bundle in bundles], len(items))


def knowledge_text(pieces: Sequence[Knowledge]) -> str:
    """What is known, a line a piece."""
    lines = "\n".join(f"- {prompts.sanitized(piece.text, KNOWLEDGE_LENGTH)}" for piece in pieces)
    return prompts.render("knowledge", {"lines": lines})


def thought_text(thought: Knowledge) -> str:
    """A thought as it stands in a demonstration."""
    return prompts.render("demo_thought", {"thought": prompts.sanitized_text(thought.text)})


def correction_text(correction: Knowledge) -> str:
    """What is said of an attempt in a demonstration."""
    return prompts.render("demo_correction", {"judgements": prompts.sanitized_text(correction.text)})


def messages(answer: TextFormat, query: Query, reasoned: bool = False) -> list[Message]:
    """The chat messages that ask about the items in this order, up to the student's turn.

    Knowledge stands in the system message, each demonstration is a turn of its own before the question, or two
    where an attempt is corrected.
    With `reasoned` the student is to write a thought before its answer, as the demonstrations then do;
    otherwise their thoughts belong to what is asked.
    """
    instruction = prompts.template(answer.prompt)
    system = prompts.render("student", {"format": instruction})
    if reasoned:
        system += "\n" + prompts.template("answer_after_thought")
    if query.context.knowledge:
        system += "\n" + knowledge_text(query.context.knowledge)
    turns = [{"role": "system", "content": system}]
    for demo in query.context.demos:
        turns += _dialogue(answer, demo, reasoned)
    return [*turns, {"role": "user", "content": _products(query.items)}]


def _dialogue(answer: TextFormat, demo: Demo, reasoned: bool) -> list[Message]:
    """The turns of a demonstration: its products and their bundles, between them an attempt that is corrected."""
    items, turns, question = demo.session.items, list[Message](), _products(demo.session.items)
    marker = ANSWER_MARKER if reasoned else ""
    if demo.correction and not isinstance(demo.correction.bundles, UnsetType):
        attempt = marker + truth_text(answer, items, demo.correction.bundles)
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": attempt}]
        question = correction_text(demo.correction)
    right = marker + truth_text(answer, items, demo.session.truth or [])
    if demo.thought and reasoned:
        right = prompts.sanitized_text(demo.thought.text) + right
    elif demo.thought:
        question += "\n" + thought_text(demo.thought)
    return [*turns, {"role": "user", "content": question}, {"role": "assistant", "content": right}]


def thought_messages(items: Sequence[Item]) -> list[Message]:
    """The chat messages that ask for a thought alone: the second task of distilling step by step."""
    return [
        {"role": "system", "content": prompts.template("student_thought")},
        {"role": "user", "content": _products(items)},
    ]


def _products(items: Sequence[Item]) -> str:
    return prompts.render("session", {"items": prompts.numbered(item.title for item in items)})
