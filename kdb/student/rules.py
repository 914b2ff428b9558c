"""Which decision rule a recipe asks for."""

from __future__ import annotations

from kdb.answers import text_answer
from kdb.errors import UsageError
from kdb.recipe import PAIRS, Recipe
from kdb.student.decision import Rule
from kdb.student.model import Student
from kdb.student.score_rule import ScoreRule
from kdb.student.text_rule import TextRule, Writing


def build_rule(student: Student, recipe: Recipe, max_prompt_tokens: int, free: bool = False) -> Rule:
    """The rule for the recipe's answer format; UsageError where there is no such format."""
    if recipe.answer == PAIRS:
        if recipe.target == "thought+answer":
            raise UsageError(
                "the answer format pairs writes nothing, so no thought", "use --target both, or --answer list"
            )
        return ScoreRule(student, recipe.objective, recipe.evidence, max_prompt_tokens)
    answer = text_answer(recipe.answer, recipe.intents)
    writing = Writing(recipe.target == "thought+answer", recipe.max_thought_tokens, free)
    return TextRule(student, answer, max_prompt_tokens, writing)
