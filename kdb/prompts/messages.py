"""What a student is shown and asked about a session: the one renderer of training and inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kdb import prompts
from kdb.prompts.answers import TextFormat
from kdb.records import Bundle, Item, Knowledge, Session
from kdb.student.config import PAIRS, StudentConfig

Message = dict[str, str]

KNOWLEDGE_LENGTH = 400
"""Pieces of knowledge are shortened to so many characters."""
ANSWER_MARKER = "\nAnswer:\n"
"""Stands between a thought and the answer that follows from it; `answer_after_thought` announces it."""


@dataclass(frozen=True)
class Demo:
    """A solved session as an example, with the thought about it where there is one."""

    session: Session
    thought: Knowledge | None = None


@dataclass(frozen=True)
class PromptContext:
    """What stands in a prompt beside the session: demonstrations, most similar last, and knowledge."""

    demos: Sequence[Demo] = ()
    knowledge: Sequence[Knowledge] = ()

    @property
    def pieces(self) -> list[Knowledge]:
        """All knowledge in it, thoughts included."""
        return [*self.knowledge, *(demo.thought for demo in self.demos if demo.thought)]

    def less(self) -> PromptContext:
        """Without what is least useful: the last knowledge, then the thought or the demonstration least similar."""
        if self.knowledge:
            return PromptContext(self.demos, self.knowledge[:-1])
        for n, demo in enumerate(self.demos):
            if demo.thought:
                return PromptContext([*self.demos[:n], replace(demo, thought=None), *self.demos[n + 1 :]])
        return PromptContext(self.demos[1:])


@dataclass
class Query:
    """A session as it is shown: its items in this order, and what stands beside them.

    Of several answers to one question, `draw` counts them.
    """

    items: list[Item]
    shown: PromptContext = field(default_factory=PromptContext)
    draw: int = 0


@dataclass
class LabelledQuery:
    """A question with what is to be learnt about it: the true bundles, and a thought where there is one."""

    question: Query
    bundles: Sequence[Bundle]
    thought: str = ""


def positions(items: Sequence[Item], bundles: Sequence[Bundle]) -> list[list[int]]:
    """Bundles of item ids as positions in `items`, ascending."""
    place = {item.id: n for n, item in enumerate(items)}
    return [sorted(place[i] for i in bundle.items) for bundle in bundles]


def truth_text(answer: TextFormat, items: Sequence[Item], bundles: Sequence[Bundle]) -> str:
    """The answer that states the true bundles of items shown in this order."""
    groups = positions(items, bundles)
    return answer.target(groups, [bundle.intent for bundle in bundles], len(items))


def knowledge_text(pieces: Sequence[Knowledge]) -> str:
    """What is known, a line a piece."""
    lines = "\n".join(f"- {prompts.sanitized(piece.text, KNOWLEDGE_LENGTH)}" for piece in pieces)
    return prompts.render("knowledge", {"lines": lines})


def thought_text(thought: Knowledge) -> str:
    """A thought as it stands in a demonstration."""
    return prompts.render("demo_thought", {"thought": thought.text})


def messages(answer: TextFormat, question: Query, reasoned: bool = False) -> list[Message]:
    """The chat messages that ask about the items in this order, up to the student's turn.

    Knowledge stands in the system message, each demonstration is a turn of its own before the question.
    With `reasoned` the student is to write a thought before its answer, as the demonstrations then do;
    otherwise their thoughts belong to what is asked.
    """
    instruction = prompts.template(format_prompt(answer))
    system = prompts.render("student", {"format": instruction})
    if reasoned:
        system += "\n" + prompts.template("answer_after_thought")
    if question.shown.knowledge:
        system += "\n" + knowledge_text(question.shown.knowledge)
    turns = [{"role": "system", "content": system}]
    for demo in question.shown.demos:
        asked, said = (
            _products(demo.session.items),
            truth_text(answer, demo.session.items, demo.session.truth or []),
        )
        if reasoned:
            said = (demo.thought.text if demo.thought else "") + ANSWER_MARKER + said
        elif demo.thought:
            asked += "\n" + thought_text(demo.thought)
        turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return [*turns, {"role": "user", "content": _products(question.items)}]


def thought_messages(items: Sequence[Item]) -> list[Message]:
    """The chat messages that ask for a thought alone: the second task of distilling step by step."""
    return [
        {"role": "system", "content": prompts.template("student_thought")},
        {"role": "user", "content": _products(items)},
    ]


def format_prompt(answer: TextFormat) -> str:
    """The name of the prompt that explains an answer format."""
    return f"answer_{answer.name}{'_intents' if answer.intents else ''}"


def prompt_hash(recipe: StudentConfig) -> str:
    """A hash of the prompts that a student of this recipe was taught with."""
    if recipe.answer == PAIRS:
        names = ["pairs", "pairs_item", *(["knowledge"] if recipe.knowledge else [])]
    else:
        intents = "_intents" if recipe.intents else ""
        names = ["student", "knowledge", "session", f"answer_{recipe.answer}{intents}"]
    if recipe.knowledge and recipe.demos:
        names.append("demo_thought")
    if recipe.target == "thought+answer":
        names.append("answer_after_thought")
    if recipe.target == "both":
        names += ["student_thought", "session"]
    return prompts.template_hash(*names)


def _products(items: Sequence[Item]) -> str:
    return prompts.render("session", {"items": prompts.numbered(item.title for item in items)})
