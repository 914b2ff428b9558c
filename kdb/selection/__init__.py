"""Which sessions and which knowledge are taken, and how much: one file a strategy."""

STRATEGIES = {
    "random": "kdb.selection.random:Random",
    "length": "kdb.selection.length:Length",
    "diversity": "kdb.selection.diversity:Diversity",
    "difficulty": "kdb.selection.difficulty:Difficulty",
    "value": "kdb.selection.value:Value",
}
"""The class of each strategy (`kdb.selection.strategy.Strategy`)."""
