"""Cross-validation of the partition model with and without its learners, over annotated sessions of any domains.

    kdb import electronic --titles electronic/item_titles_extra.csv --split-file electronic/split.json \\
      --split train,validation > sessions.jsonl
    python samples/crossvalidate.py sessions.jsonl -o out/crossvalidation

Each session is decoded by a model that was fitted on the other folds. The learners (embedder, student) are trained
once a fold: what they say of the sessions of that fold is what the partition model reads there, and what it is
fitted on where another fold is held out. So the some 20 weights of the partition model, and no other, have been
fitted on log odds of learners that saw the held-out sessions. What learners say is kept in OUT, and not made again.

OUT/predictions.jsonl has the bundles of runs that give probabilities, calibrated on the other folds: `kdb eval` and
`kdb report` tell how far these can be believed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from msgspec import structs

from kdb.evaluation.matched_session import MatchedSession
from kdb.evaluation.metrics.containment import precision
from kdb.evaluation.metrics.matching import matched_f1
from kdb.io import provenance, stream
from kdb.partitions import calibration, crf, mbr, pair_features, stacking
from kdb.prompts.messages import positions
from kdb.records import Bundle, Prediction, Record, Run, Session
from kdb.retrieval.embedder import open_embedder
from kdb.student.config import StudentConfig, TrainingConfig
from kdb.student.pairwise import stack
from kdb.student.pairwise.cross_fitting import cross_fit, fold_numbers
from kdb.student.pairwise.learner import LogOdds
from kdb.student.pairwise.training import Maker
from kdb.student.weights import STUDENT

FOLDS = 5
RUNS: dict[str, tuple[bool, tuple[str, ...]]] = {
    "partition-crf-frozen": (True, ()),
    "partition-crf": (True, ("embedder",)),
    "pairs": (True, ("embedder", "student")),
    "pairs, without embedder": (True, ("student",)),
    "embedder alone": (False, ("embedder",)),
    "student alone": (False, ("student",)),
}
"""Whether titles and categories are read, and which learners."""
REFERENCES = ("partition-crf-frozen", "partition-crf")
SETTINGS: dict[str, dict[str, object]] = {
    **{name: {"baseline": name, "utility": "f1"} for name in REFERENCES},
    "pairs": {"student": STUDENT, "answer": "pairs", "adapter": f"{FOLDS} folds", "utility": "f1"},
}
"""The runs whose bundles are calibrated, and their settings as `kdb infer` would state them."""


class Row(msgspec.Struct):
    """One session by one run: what is averaged. Losses are in nats a pair, the mean over the session's pairs."""

    run: str
    domain: str
    session: str
    fold: int
    pair_loss: float
    matched_f1: float
    precision: float
    precision_utility: float
    probabilities: list[float]
    together: list[int]


@dataclass
class Domain:
    """The sessions of one domain, and what is known of them."""

    name: str
    sessions: list[Session]
    folds: list[int]
    odds: dict[str, list[LogOdds]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions", type=Path, nargs="+", help="session records")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sessions = [
        line.record for line in stream.read(options.sessions, ("session",)) if isinstance(line.record, Session)
    ]
    options.output.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    predictions: list[Record] = [run_record(name) for name in SETTINGS]
    for name in dict.fromkeys(s.domain for s in sessions):
        own = [stack.cut(s) for s in sessions if s.domain == name and s.truth is not None and len(s.items) > 1]
        for row, prediction in evaluated(domain(name, own, options.output, options.seed)):
            rows.append(row)
            predictions += [prediction] if prediction else []
    (options.output / "predictions.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(predictions))
    (options.output / "sessions.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(rows))
    text = tables(rows)
    (options.output / "crossvalidation.md").write_text(text, encoding="utf-8")
    print(text)


def run_record(name: str) -> Run:
    """The run that the predictions of `name` are of."""
    settings = {"name": name, **SETTINGS[name]}
    return Run(id=name, command="infer", settings=settings, seed=0, versions=provenance.versions())


def makers(seed: int) -> dict[str, Maker]:
    """The learners as `kdb train` makes them."""
    from kdb.stages.train_pairs import makers

    return makers(StudentConfig(training=TrainingConfig(seed=seed)), "")


def domain(name: str, sessions: list[Session], output: Path, seed: int) -> Domain:
    """The sessions with what cross-fitted learners say of them."""
    folds = fold_numbers([f"{s.domain}/{s.id}" for s in sessions], FOLDS, seed)
    taught = stack.pair_targets(sessions)
    odds = {}
    for learner, maker in makers(seed).items():
        folder = output / "learners" / name
        odds[learner] = cross_fit(learner, maker.make, taught, folds, maker.settings, folder)
    return Domain(name, sessions, folds, odds)


def evaluated(data: Domain) -> Iterator[tuple[Row, Prediction | None]]:
    """All runs on all sessions, each held out once; a prediction where the run is calibrated."""
    truth = [positions(s.items, s.truth or []) for s in data.sessions]
    for fold in sorted(set(data.folds)):
        known = [n for n, own in enumerate(data.folds) if own != fold]
        held_out = [n for n, own in enumerate(data.folds) if own == fold]
        features, crossed = pair_features.fit(open_embedder(), [data.sessions[n] for n in known])
        of_known = dict(zip(known, crossed, strict=True))
        for run, (read, learners) in RUNS.items():
            odds = [data.odds[name] for name in learners]
            scale = stack.scale_of([[own[n] for n in known] for own in odds])
            pairs = [stack.joined(of_known[n] if read else None, [own[n] for own in odds], scale) for n in known]
            of_truth = [truth[n] for n in known]
            fitted = stacking.fit(pairs, of_truth, [data.folds[n] for n in known], len(learners))
            calibrate = _calibration(pairs, of_truth, fitted) if run in SETTINGS else None
            for n in held_out:
                session = data.sessions[n]
                own = features.pairs(session.items) if read else None
                joined = stack.joined(own, [o[n] for o in odds], scale)
                row = _row(run, session, fold, truth[n], joined, fitted.weights)
                yield row, _prediction(run, session, joined, fitted.weights, calibrate) if calibrate else None


def _calibration(
    pairs: list[stack.Floats], truth: list[list[list[int]]], fitted: stacking.Stacked
) -> calibration.PlattScaling:
    active = [own[:, :, fitted.active] for own in pairs]
    return calibration.cross_fit(active, truth, fitted.weights[crf.active_weights(fitted.active)], "f1")


def _prediction(
    run: str, session: Session, pairs: stack.Floats, weights: crf.Weights, calibrate: calibration.PlattScaling
) -> Prediction:
    bundles = [
        Bundle([session.items[n].id for n in own.positions], probability=round(calibrate(own.probability), 6))
        for own in mbr.decode(pairs, weights, "f1")
    ]
    return structs.replace(Prediction.of(session, bundles), run=run)


def _row(
    run: str,
    session: Session,
    fold: int,
    truth: list[list[int]],
    pairs: stack.Floats,
    weights: crf.Weights,
) -> Row:
    places = np.triu_indices(len(session.items), 1)
    p = np.clip(crf.distribution(pairs, weights).pairs()[places], 1e-4, 1 - 1e-4)
    together = stack.together(len(session.items), truth)[places]
    matched = {}
    for utility in mbr.UTILITIES:
        groups = [[str(i) for i in own.positions] for own in mbr.decode(pairs, weights, utility)]
        ids = [str(n) for n in range(len(session.items))]
        matched[utility] = MatchedSession(groups, [[str(i) for i in group] for group in truth], ids)
    return Row(
        run=run,
        domain=session.domain,
        session=session.id,
        fold=fold,
        pair_loss=float(-np.mean(np.log(np.where(together > 0, p, 1 - p)))),
        matched_f1=matched_f1(matched["f1"]),
        precision=precision(matched["f1"]),
        precision_utility=precision(matched["precision"]),
        probabilities=np.round(p, 4).tolist(),
        together=together.astype(int).tolist(),
    )


TITLES = ("pair log loss", "AUC", "AUC within sessions", "matched F1", "precision", "precision by that utility")
METRICS = ("pair_loss", "matched_f1", "precision", "precision_utility")


def tables(rows: Sequence[Row]) -> str:
    """Markdown: each run by each metric, and its paired differences from the references."""
    text = []
    for name in ["", *dict.fromkeys(row.domain for row in rows)]:
        own = [row for row in rows if name in ("", row.domain)]
        by_run = {run: [row for row in own if row.run == run] for run in RUNS}
        count = len(by_run[REFERENCES[0]])
        text += [f"## {name or 'All domains'}: {count} sessions", ""]
        text += [f"| run | {' | '.join(TITLES)} |", "|---" * (len(TITLES) + 1) + "|"]
        for run, its in by_run.items():
            loss, f1, precision, utility = (np.mean([getattr(row, m) for row in its]) for m in METRICS)
            values = (loss, _auc(its), _auc_within(its), f1, precision, utility)
            text.append(f"| {run} | {' | '.join(f'{value:.4f}' for value in values)} |")
        for reference in REFERENCES:
            text += ["", f"Difference from {reference}, mean ± standard error over sessions:", ""]
            text += [
                "| run | pair log loss | matched F1 | precision | precision, utility precision |",
                "|---|---|---|---|---|",
            ]
            text += [
                f"| {run} | {_differences(its, by_run[reference])} |"
                for run, its in by_run.items()
                if run != reference
            ]
        text.append("")
    return "\n".join(text)


def _differences(rows: Sequence[Row], reference: Sequence[Row]) -> str:
    cells = []
    for metric in METRICS:
        found = np.array([getattr(a, metric) - getattr(b, metric) for a, b in zip(rows, reference, strict=True)])
        cells.append(f"{found.mean():+.4f} ± {found.std(ddof=1) / np.sqrt(len(found)):.4f}")
    return " | ".join(cells)


def _auc(rows: Sequence[Row]) -> float:
    from sklearn.metrics import roc_auc_score

    together = [y for row in rows for y in row.together]
    return float(roc_auc_score(together, [p for row in rows for p in row.probabilities]))


def _auc_within(rows: Sequence[Row]) -> float:
    """The mean over sessions that have pairs of both kinds."""
    from sklearn.metrics import roc_auc_score

    found = [
        roc_auc_score(row.together, row.probabilities) for row in rows if 0 < sum(row.together) < len(row.together)
    ]
    return float(np.mean(found))


if __name__ == "__main__":
    main()
