"""A partition model on everything known of a pair: titles and categories, and what cross-fitted learners say.

Fitted on training sessions alone. A learner that does not help out of fold has no weight and is not read.

Learners and pair features learn from labels too, by their weights and shares. Which learners help, the weights of
the partition model and the calibration are fitted to annotated sessions alone if there are enough of them: these
are few numbers, and a teacher's mistakes would show in each. With fewer, all sessions count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdb import console
from kdb.errors import KdbError
from kdb.partitions import calibration, crf, pair_features, stacking
from kdb.partitions.calibration import PlattScaling
from kdb.partitions.enumeration import upper
from kdb.partitions.pair_features import PairFeatures
from kdb.prompts.messages import positions
from kdb.records import Item, Session
from kdb.retrieval.embedder import Embedder
from kdb.retrieval.labels import Labels, pair_shares, trusted, weight_of
from kdb.student import distributed
from kdb.student.pairwise.cache import fold_folder, learner_folder
from kdb.student.pairwise.cross_fitting import cross_fit, fold_numbers, mean_loss, n_folds
from kdb.student.pairwise.learner import LogOdds, PairLearner
from kdb.student.pairwise.training import FitReport, Maker, PairTargets
from kdb.student.pairwise.training import fit as fit_learner
from kdb.student.tensors import HINT, first_line, read_tensors, write_tensors

FILE = "pairs.safetensors"
Floats = NDArray[np.float32]


@dataclass
class PairStack:
    """`weights` of the partition model over the pair features and the log odds of `learners`, in their order.

    `scale` (2, learners) holds mean and standard deviation of the log odds. Learners that did not help are left
    out.
    """

    pair_features: PairFeatures | None
    learners: dict[str, PairLearner]
    scale: Floats
    weights: crf.Weights
    calibrate: PlattScaling = field(default_factory=PlattScaling)

    def pairs(self, sessions: Sequence[Sequence[Item]]) -> list[Floats]:
        """The features of all pairs, by the first MAX_ITEMS items: (n, n, k) a session."""
        sessions = [items[: crf.MAX_ITEMS] for items in sessions]
        titles = [[item.title for item in items] for items in sessions]
        said = [learner.log_odds(titles) for learner in self.learners.values()]
        known = [self.pair_features.pairs(items) if self.pair_features else None for items in sessions]
        return [joined(own, [odds[n] for odds in said], self.scale) for n, own in enumerate(known)]

    def log_odds(self, name: str, pairs: Floats) -> list[float]:
        """What a learner said of each pair, given their features (n, n, k); nothing where it is not read."""
        if name not in self.learners:
            return []
        column = list(self.learners).index(name)
        own = upper(pairs)[:, column - len(self.learners)]
        found: list[float] = (own * self.scale[1, column] + self.scale[0, column]).tolist()
        return found

    def length(self, titles: Sequence[str]) -> int:
        """How many tokens the learners read for a session."""
        return sum(learner.length(titles[: crf.MAX_ITEMS]) for learner in self.learners.values())

    def save(self, folder: Path) -> None:
        """Write what was fitted, without the learners."""
        kept: dict[str, NDArray[Any]] = {"weights": self.weights, "scale": self.scale}
        kept["calibration"] = self.calibrate.array()
        if self.pair_features:
            kept |= self.pair_features.arrays()
        write_tensors(folder / FILE, kept, {"learners": ",".join(self.learners)})


def read(
    folder: Path, embedder: Embedder, load: Callable[[str], PairLearner], use_features: bool = True
) -> PairStack:
    """What `save` wrote, with the learners that `load` gives by name.

    KdbError where it cannot be read, or is not what a stack with or without pair features holds.
    """
    file = folder / FILE
    names, features = _learners(file), pair_features.N_FEATURES if use_features else 0
    wanted: dict[str, tuple[int, ...] | None] = {"scale": (2, len(names)), "calibration": (2,)}
    wanted["weights"] = (crf.n_weights(features + len(names)),)
    kept = read_tensors(file, wanted | (dict.fromkeys(pair_features.ARRAYS) if use_features else {}))
    return PairStack(
        PairFeatures.from_arrays(embedder, kept) if use_features else None,
        {name: load(name) for name in names},
        kept["scale"],
        kept["weights"],
        PlattScaling.of(kept["calibration"]),
    )


def _learners(file: Path) -> list[str]:
    """The names of the learners that have a weight."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as opened:
            return [name for name in (opened.metadata() or {}).get("learners", "").split(",") if name]
    except (OSError, SafetensorError) as error:
        raise KdbError(f"{file}: {first_line(error)}", HINT) from None


@dataclass
class StackReport:
    """What each learner gained out of fold and its loss there, its last training, and the learner itself.

    `fitted_to` counts the annotated and the labelled sessions that the partition model was fitted to.
    """

    fitted_to: dict[str, int]
    gains: dict[str, stacking.Gain] = field(default_factory=dict)
    held_out: dict[str, float] = field(default_factory=dict)
    trainings: dict[str, FitReport] = field(default_factory=dict)
    trained: dict[str, PairLearner] = field(default_factory=dict)


def fit(
    embedder: Embedder,
    training: Sequence[Session],
    makers: Mapping[str, Maker],
    folder: Path | None = None,
    use_features: bool = True,
    always: Sequence[str] = (),
    utility: str = "f1",
    labels: Labels | None = None,
) -> tuple[PairStack, StackReport]:
    """Cross-fit the learners, fit the partition model on what they say out of fold, then train those that help.

    Those in `always` are trained even if they do not help. `labels` are those of sessions that nobody annotated.
    What is done already in `folder`, or in the cache (`pairwise.cache`), is not done again. Several processes share
    the folds; each has the result. KdbError for a single session.
    """
    labels = labels or {}
    training = [cut(session) for session in training if len(session.items) > 1]
    taught = pair_targets(training, labels)
    if not any(own.any() for own in taught.targets):
        raise KdbError("no training session has a bundle", "kdb import DATA --split train,validation")
    known: PairFeatures | None = None
    pairs: list[Floats | None] = [None] * len(training)
    if use_features:
        known, pairs[:] = pair_features.fit(embedder, training, taught.targets, taught.weights)
    folds = [0] * len(training)
    if makers:
        folds = fold_numbers([f"{s.domain}/{s.id}" for s in training], n_folds(len(training)))
    sure = trusted(training, labels)
    odds, report = list[list[LogOdds]](), StackReport(_fitted_to([training[n] for n in sure], labels))
    for name, maker in makers.items():
        place = fold_folder(maker, learner_folder(maker, taught, folder), folds)
        odds.append(cross_fit(name, maker.make, taught, folds, maker.settings, place))
        report.held_out[name] = mean_loss([odds[-1][n] for n in sure], taught.subset(sure).targets)
    scale = scale_of(odds)
    features = [joined(pairs[n], [each[n] for each in odds], scale) for n in sure]
    truth = [positions(training[n].items, training[n].truth or []) for n in sure]
    weights = [taught.weights[n] for n in sure]
    stacked = stacking.fit(features, truth, [folds[n] for n in sure], len(makers), weights)
    report.gains = dict(zip(makers, stacked.gains, strict=True))
    for name, gain in report.gains.items():
        console.say(f"{name}: {gain} out of fold" + ("" if gain.helps else ", so it has no weight"))
    kept = [n for n, gain in enumerate(stacked.gains) if gain.helps]
    helping = [list(makers)[n] for n in kept]
    for name in dict.fromkeys([*helping, *always]):
        report.trained[name], training_report = trained(name, makers[name], taught, folder)
        if training_report:
            report.trainings[name] = training_report
    active = [own[:, :, stacked.active] for own in features]
    fitted = stacked.weights[crf.active_weights(stacked.active)]
    calibrate = calibration.cross_fit(active, truth, fitted, utility, session_weights=weights)
    learners = {name: report.trained[name] for name in helping}
    return PairStack(known, learners, scale[:, kept], fitted, calibrate), report


def _fitted_to(sessions: Sequence[Session], labels: Labels) -> dict[str, int]:
    labelled = sum(session.key in labels for session in sessions)
    if labels:
        console.say(f"the partition model is fitted to {len(sessions)} sessions, {labelled} of them with a label")
    return {"annotated": len(sessions) - labelled, "labelled": labelled}


def trained(
    name: str, maker: Maker, taught: PairTargets, folder: Path | None = None
) -> tuple[PairLearner, FitReport | None]:
    """The learner trained on all sessions by the main process, or as it lies in the folder or the cache."""
    folder = learner_folder(maker, taught, folder)
    learner, report, file = maker.make(), None, folder / f"{name}.safetensors"
    if distributed.is_main() and not file.exists():
        report = fit_learner(learner, taught, maker.settings, name)
        folder.mkdir(parents=True, exist_ok=True)
        learner.save(file)
    distributed.wait_for_all()
    learner.load(file)
    return learner, report


def pair_targets(training: Sequence[Session], labels: Labels | None = None) -> PairTargets:
    """What sessions of two or more items teach of their pairs: annotations 0 or 1, labels the share of answers."""
    labels = labels or {}
    sessions = [cut(session) for session in training if len(session.items) > 1]
    targets = []
    for session in sessions:
        groups = positions(session.items, session.truth or [])
        shares = pair_shares(session, labels)
        found = together(len(session.items), groups) if shares is None else soft(session.items, shares)
        targets.append(found)
    titles = [[item.title for item in session.items] for session in sessions]
    return PairTargets(titles, targets, [weight_of(session, labels) for session in sessions])


def cut(session: Session) -> Session:
    """The session's first MAX_ITEMS items, and of its bundles what is left of them."""
    from msgspec.structs import replace

    if len(session.items) <= crf.MAX_ITEMS:
        return session
    items = session.items[: crf.MAX_ITEMS]
    ids = {item.id for item in items}
    bundles = [replace(b, items=[i for i in b.items if i in ids]) for b in session.truth or []]
    return replace(session, items=items, bundles=[b for b in bundles if len(b.items) > 1])


def together(items: int, groups: Sequence[Sequence[int]]) -> LogOdds:
    """1 where two different items share a group of positions, else 0: (items, items)."""
    found = np.zeros((items, items), dtype=np.float32)
    for group in groups:
        found[np.ix_(list(group), list(group))] = 1
    np.fill_diagonal(found, 0)
    return found


def soft(items: Sequence[Item], shares: Mapping[tuple[str, str], float]) -> LogOdds:
    """The share of each pair of items, by their ids, and 0 where none is known: (items, items)."""
    place = {item.id: n for n, item in enumerate(items)}
    found = np.zeros((len(items), len(items)), dtype=np.float32)
    for (one, other), share in shares.items():
        if one in place and other in place and one != other:
            found[place[one], place[other]] = found[place[other], place[one]] = min(max(share, 0.0), 1.0)
    return found


def scale_of(odds: Sequence[Sequence[LogOdds]]) -> Floats:
    """Mean and standard deviation of each learner's log odds: (2, learners)."""
    flat = [np.concatenate([own[np.triu_indices(len(own), 1)] for own in each]) for each in odds]
    return np.array([[own.mean() for own in flat], [own.std() + 1e-6 for own in flat]], dtype=np.float32).reshape(
        2, -1
    )


def joined(known: Floats | None, odds: Sequence[LogOdds], scale: Floats) -> Floats:
    """The pair features of one session beside the standardised log odds of each learner: (n, n, k)."""
    columns = [((own - mean) / spread)[:, :, None] for own, mean, spread in zip(odds, *scale, strict=True)]
    return np.concatenate([*([] if known is None else [known]), *columns], -1).astype(np.float32)
