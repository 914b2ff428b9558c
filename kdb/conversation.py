"""What a student is shown and asked about a session: the one renderer of training and inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kdb import prompts
from kdb.answers import TextAnswer
from kdb.records import Bundle, Item, Knowledge, Session

Message = dict[str, str]


@dataclass
class Shown:
    """What stands in a prompt beside the session: demonstrations, most similar last, and knowledge."""

    demos: list[Session] = field(default_factory=list)
    knowledge: list[Knowledge] = field(default_factory=list)


def positions(items: Sequence[Item], bundles: Sequence[Bundle]) -> list[list[int]]:
    """Bundles of item ids as positions in `items`, ascending."""
    place = {item.id: n for n, item in enumerate(items)}
    return [sorted(place[i] for i in bundle.items) for bundle in bundles]


def truth_text(answer: TextAnswer, items: Sequence[Item], bundles: Sequence[Bundle]) -> str:
    """The answer that states the true bundles of items shown in this order."""
    groups = positions(items, bundles)
    return answer.target(groups, [bundle.intent for bundle in bundles], len(items))


def messages(answer: TextAnswer, items: Sequence[Item], shown: Shown) -> list[Message]:
    """The chat messages that ask about the items in this order, up to the student's turn.

    Knowledge stands in the system message, each demonstration is a turn of its own before the question.
    """
    instruction = prompts.template(format_prompt(answer))
    system = prompts.render("student", {"format": instruction})
    if shown.knowledge:
        lines = "\n".join(f"- {prompts.quoted(k.text, 400)}" for k in shown.knowledge)
        system += "\n" + prompts.render("knowledge", {"lines": lines})
    turns = [{"role": "system", "content": system}]
    for demo in shown.demos:
        turns.append(_question(demo.items))
        text = truth_text(answer, demo.items, demo.truth or [])
        turns.append({"role": "assistant", "content": text})
    return [*turns, _question(items)]


def format_prompt(answer: TextAnswer) -> str:
    """The name of the prompt that explains an answer format."""
    return f"answer_{answer.name}{'_intents' if answer.intents else ''}"


def prompt_hash(answer: TextAnswer) -> str:
    """A hash of all prompts that a student's conversation is made of."""
    return prompts.template_hash("student", "knowledge", "session", format_prompt(answer))


def _question(items: Sequence[Item]) -> Message:
    lines = prompts.numbered(item.title for item in items)
    return {"role": "user", "content": prompts.render("session", {"items": lines})}
