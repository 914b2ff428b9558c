"""Which predicted bundle of a session was matched with which true one."""

from __future__ import annotations

from collections.abc import Sequence

from kdb.evaluation.metrics import Sets, bundle_sets, match
from kdb.evaluation.score_table import DIGITS
from kdb.records import Bundle, Match, Prediction


def matches(prediction: Prediction) -> list[Match]:
    """The matched pairs of bundles, then the predicted and the true ones that found no partner."""
    predicted, valid, true = _sets(prediction)
    pairs = [(valid[p], true[t], j) for p, t, j in match(valid, true)]
    alone = [p for p in predicted if all(p != pair[0] for pair in pairs)]
    missed = [t for t in true if all(t != pair[1] for pair in pairs)]

    def made(p: frozenset[str], t: frozenset[str], jaccard: float) -> Match:
        hit = p in valid and any(p <= g for g in true)
        return Match(sorted(p), sorted(t), round(jaccard, DIGITS), hit)

    nothing: frozenset[str] = frozenset()
    return [
        *(made(*pair) for pair in pairs),
        *(made(p, nothing, 0.0) for p in alone),
        *(made(nothing, t, 0.0) for t in missed),
    ]


def intent_pairs(prediction: Prediction) -> list[tuple[str, str]]:
    """The predicted and the true intent of each matched pair of bundles that both have one."""
    _, valid, true = _sets(prediction)
    said, meant = _intents(prediction.bundles), _intents(prediction.truth or [])
    found = [(said.get(valid[p], ""), meant.get(true[t], "")) for p, t, _ in match(valid, true)]
    return [(a, b) for a, b in found if a and b]


def matched_intents(prediction: Prediction) -> list[tuple[frozenset[str], str]]:
    """The predicted bundles that are matched with a true one and have an intent, with it."""
    _, valid, true = _sets(prediction)
    said = _intents(prediction.bundles)
    return [(valid[p], said[valid[p]]) for p, _, _ in match(valid, true) if valid[p] in said]


def _sets(prediction: Prediction) -> tuple[Sets, Sets, Sets]:
    """The distinct bundles: predicted, those of them that are valid, and true."""
    bundles = [] if prediction.status == "failed" else prediction.bundles
    predicted = bundle_sets(b.items for b in bundles)
    known = set(prediction.items)
    valid = [p for p in predicted if len(p) > 1 and p <= known]
    return predicted, valid, bundle_sets(b.items for b in prediction.truth or [])


def _intents(bundles: Sequence[Bundle]) -> dict[frozenset[str], str]:
    """Each bundle's first intent."""
    intents: dict[frozenset[str], str] = {}
    for bundle in bundles:
        if text := bundle.intent.strip():
            intents.setdefault(frozenset(bundle.items), text)
    return intents
