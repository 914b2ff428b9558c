"""What predictions are worth: metrics, intervals, tests, calibration, cost, and sentences on them."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdb.evaluation.metrics.definition import MetricDefinition

_AT = "kdb.evaluation.metrics."

METRICS = {
    "precision": _AT + "containment:PRECISION",
    "recall": _AT + "containment:RECALL",
    "coverage": _AT + "containment:COVERAGE",
    "matched_f1": _AT + "matching:MATCHED_F1",
    "exact": _AT + "matching:EXACT",
    "pair_precision": _AT + "pairs:PAIR_PRECISION",
    "pair_recall": _AT + "pairs:PAIR_RECALL",
    "pair_f1": _AT + "pairs:PAIR_F1",
    "invalid": _AT + "answers:INVALID",
    "hallucinated": _AT + "answers:HALLUCINATED",
    "failed": _AT + "answers:FAILED",
    "repaired": _AT + "answers:REPAIRED",
    "bundles_predicted": _AT + "answers:BUNDLES_PREDICTED",
    "bundles_true": _AT + "answers:BUNDLES_TRUE",
    "size_predicted": _AT + "answers:SIZE_PREDICTED",
    "size_true": _AT + "answers:SIZE_TRUE",
    "session_length": _AT + "answers:SESSION_LENGTH",
    "prompt_tokens": _AT + "cost:PROMPT_TOKENS",
    "completion_tokens": _AT + "cost:COMPLETION_TOKENS",
    "seconds": _AT + "cost:SECONDS",
    "dollars": _AT + "cost:DOLLARS",
    "intent_similarity": _AT + "intents:INTENT_SIMILARITY",
    "naturalness": _AT + "intents:NATURALNESS",
    "intent_coverage": _AT + "intents:INTENT_COVERAGE",
    "motivation": _AT + "intents:MOTIVATION",
    "brier": _AT + "calibration:BRIER",
}
"""The metrics of the strict protocol: a new one is a `MetricDefinition` in a file, and a line here."""

RELEASED_METRICS = {
    "precision": _AT + "containment:RELEASED_PRECISION",
    "recall": _AT + "containment:RELEASED_RECALL",
    "coverage": _AT + "containment:RELEASED_COVERAGE",
}
"""The metrics of the released protocol."""

PROTOCOLS = {"strict": METRICS, "released": RELEASED_METRICS}
PRIMARY_METRIC = "matched_f1"
"""The metric by which runs are ranked."""

TITLES_OF_RUNS = {
    "cost": {"flops": "FLOPs", "parameters": "parameters", "peak_memory_mb": "peak memory, MB"},
    "calibration": {"expected_calibration_error": "calibration error"},
    "teacher": {
        "retention_precision": "precision kept",
        "retention_recall": "recall kept",
        "retention_coverage": "coverage kept",
        "retention_matched_f1": "matched F1 kept",
        "speed_up": "times faster",
        "token_share": "share of tokens",
        "flops_share": "share of FLOPs",
        "dollar_share": "share of dollars",
    },
}
"""Values of whole runs, which are no ratios of sums over sessions, by group."""


def definitions(protocol: str) -> dict[str, MetricDefinition]:
    """The metrics of a protocol by name."""
    return {name: pkgutil.resolve_name(where) for name, where in PROTOCOLS[protocol].items()}


def titles(*groups: str, protocol: str = "strict") -> dict[str, str]:
    """What people read in place of the names of the metrics of some groups, in the order of the groups."""
    known = definitions(protocol)
    return {
        name: title
        for group in groups
        for name, title in [
            *((name, metric.title) for name, metric in known.items() if metric.group == group),
            *TITLES_OF_RUNS.get(group, {}).items(),
        ]
    }
