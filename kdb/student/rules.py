"""Which decision rule a recipe asks for."""

from __future__ import annotations

from kdb.answers import text_answer
from kdb.recipe import PAIRS, Recipe
from kdb.student.decision import Rule
from kdb.student.model import Student
from kdb.student.score_rule import ScoreRule
from kdb.student.text_rule import TextRule


def build_rule(student: Student, recipe: Recipe, max_prompt_tokens: int, free: bool = False) -> Rule:
    """The rule for the recipe's answer format; UsageError where there is no such format."""
    if recipe.answer == PAIRS:
        return ScoreRule(student, recipe.objective, recipe.evidence)
    return TextRule(student, text_answer(recipe.answer, recipe.intents), max_prompt_tokens, free)
