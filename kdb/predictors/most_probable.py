"""Only bundles that are probable enough, or the most probable ones of each session."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, structs

from kdb.errors import KdbError, UsageError
from kdb.predictors import Predictor
from kdb.records import Bundle, Prediction, Session

NONE = "the bundles of this predictor have no probability"
HINT = "ask the baseline partition-crf or a student of the format pairs; one that writes, with --samples 5"


class MostProbable:
    """A predictor whose bundles of less than `min_probability`, and those after the `top` best, are left out.

    `top` 0 keeps any number. Bundles stay in their order. UsageError or KdbError where bundles have no probability.
    """

    def __init__(self, predictor: Predictor, min_probability: float, top: int) -> None:
        if not predictor.gives_probabilities:
            raise UsageError(NONE, HINT)
        self.predictor, self.min_probability, self.top = predictor, min_probability, top
        self.settings = {**predictor.settings, "min_probability": min_probability, "top": top}
        self.measured, self.seen, self.fits_kb = predictor.measured, predictor.seen, predictor.fits_kb
        self.gives_probabilities = True

    def predict(self, sessions: Sequence[Session]) -> list[Prediction]:
        """See `Predictor`."""
        found = self.predictor.predict(sessions)
        return [structs.replace(one, bundles=self._kept(one.bundles)) for one in found]

    def close(self) -> None:
        """See `Predictor`."""
        self.predictor.close()

    def _kept(self, bundles: Sequence[Bundle]) -> list[Bundle]:
        probable = sorted((-_probability(own), n) for n, own in enumerate(bundles))
        best = [n for p, n in probable if -p >= self.min_probability]
        return [bundles[n] for n in sorted(best[: self.top or None])]


def _probability(bundle: Bundle) -> float:
    if bundle.probability is UNSET:
        raise KdbError(NONE, HINT)
    return bundle.probability
