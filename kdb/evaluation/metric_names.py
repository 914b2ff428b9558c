"""What people read in place of the metrics' keys: one name each, in tables of the terminal and of reports."""

QUALITY = {
    "precision": "precision",
    "recall": "recall",
    "coverage": "coverage",
    "matched_f1": "matched F1",
    "exact": "exact",
    "pair_f1": "pair F1",
}
RELEASED = {name: QUALITY[name] for name in ("precision", "recall", "coverage")}
ANSWERS = {
    "failed": "failed answers",
    "repaired": "repaired answers",
    "invalid": "invalid bundles",
    "hallucinated": "hallucinated items",
    "intent_similarity": "intent similarity",
    "naturalness": "naturalness of intents",
    "intent_coverage": "coverage of intents",
    "motivation": "motivation of intents",
}
SIZES = {"bundles_predicted": "bundles a session", "size_predicted": "items a bundle"}
COST = {
    "prompt_tokens": "tokens in",
    "completion_tokens": "tokens out",
    "seconds": "seconds",
    "flops": "FLOPs",
    "dollars": "US dollars",
    "parameters": "parameters",
    "peak_memory_mb": "peak memory, MB",
}
"""Of one session, but for the last two."""
AGAINST_TEACHER = {
    "retention_precision": "precision kept",
    "retention_recall": "recall kept",
    "retention_coverage": "coverage kept",
    "retention_matched_f1": "matched F1 kept",
    "speed_up": "times faster",
    "token_share": "share of tokens",
    "flops_share": "share of FLOPs",
    "dollar_share": "share of dollars",
}
