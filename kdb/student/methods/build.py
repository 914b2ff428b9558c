"""Which decision rule a recipe asks for."""

from __future__ import annotations

from dataclasses import dataclass

from kdb.errors import UsageError
from kdb.prompts.answers import text_answer
from kdb.student.config import PAIRS, Recipe, Vote
from kdb.student.methods.generation import TextRule, Writing
from kdb.student.methods.method import Rule
from kdb.student.methods.pairs import ScoreRule
from kdb.student.model import Student


@dataclass(frozen=True)
class Serving:
    """How a student is asked, whatever it was trained on: the longest prompt, and how text is written.

    `free` lifts the grammar; above temperature 0 text is drawn by the seed; several answers `vote`.
    """

    max_prompt_tokens: int
    free: bool = False
    temperature: float = 0.0
    seed: int = 0
    vote: Vote = "answer"


def build_rule(student: Student, recipe: Recipe, serving: Serving) -> Rule:
    """The rule for the recipe's answer format; UsageError where there is no such format, or it cannot do that."""
    if recipe.answer == PAIRS:
        if recipe.target == "thought+answer":
            raise UsageError(
                "the answer format pairs writes nothing, so no thought", "use --target both, or --answer list"
            )
        if serving.temperature:
            raise UsageError("the answer format pairs draws nothing", "leave out --temperature")
        if serving.vote != "answer":
            raise UsageError("the answer format pairs averages its probabilities", "leave out --vote")
        return ScoreRule(student, recipe.objective, recipe.evidence, serving.max_prompt_tokens)
    answer = text_answer(recipe.answer, recipe.intents)
    reasoned = recipe.target == "thought+answer"
    writing = Writing(
        reasoned, recipe.max_thought_tokens, serving.free, serving.temperature, serving.seed, serving.vote
    )
    return TextRule(student, answer, serving.max_prompt_tokens, writing)
