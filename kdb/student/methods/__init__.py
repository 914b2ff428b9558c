"""How a student answers: as text, or by the probability of each pair of items."""

ANSWERS = {
    "pairs": "kdb.student.methods.pairs:PairMethod",
    "pair-prompts": "kdb.student.methods.prompted_pairs:PromptedPairMethod",
    "list": "kdb.prompts.answers.list:ListFormat",
    "labels": "kdb.prompts.answers.labels:ItemLabelFormat",
}
"""Answer formats: methods of their own, and text formats (`is_text`), which one method writes and reads."""
