"""Which decision rule a recipe asks for."""

from __future__ import annotations

from dataclasses import dataclass

from kdb.errors import UsageError
from kdb.prompts.answers import text_format
from kdb.student.config import PAIRS, Aggregation, StudentConfig
from kdb.student.methods.generation import GenerationConfig, GenerationMethod
from kdb.student.methods.method import AnswerMethod
from kdb.student.methods.pairs import PairMethod
from kdb.student.model import Student


@dataclass(frozen=True)
class InferenceConfig:
    """How a student is asked, whatever it was trained on: the longest prompt, and how text is written.

    `free` lifts the grammar; above temperature 0 text is drawn by the seed; several answers `vote`.
    """

    max_prompt_tokens: int
    free: bool = False
    temperature: float = 0.0
    seed: int = 0
    vote: Aggregation = "answer"


def build_method(student: Student, recipe: StudentConfig, serving: InferenceConfig) -> AnswerMethod:
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
        return PairMethod(student, recipe.objective, recipe.evidence, serving.max_prompt_tokens)
    answer = text_format(recipe.answer, recipe.intents)
    reasoned = recipe.target == "thought+answer"
    writing = GenerationConfig(
        reasoned, recipe.max_thought_tokens, serving.free, serving.temperature, serving.seed, serving.vote
    )
    return GenerationMethod(student, answer, serving.max_prompt_tokens, writing)
