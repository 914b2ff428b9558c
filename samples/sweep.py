"""Students of other settings and sizes, each cross-fitted: what it learns, and what it adds to the baseline.

    python samples/crossvalidate.py sessions.jsonl -o out/crossvalidation
    python samples/sweep.py sessions.jsonl -o out/crossvalidation --students samples/students/settings.toml

The sessions and the folder are those of `samples/crossvalidate.py`, whose embedder is read there. Each student is
trained once a fold. What it gains is measured as `kdb train` does before it gives a learner a weight: partition
models with it and without it, beside embedder and pair features, are fitted on some folds and asked about another.
What students say is kept in OUT/learners and not made again, so several processes may train different ones (--only)
and a last one makes the table.

A student is a table of settings of `kdb train --set`, with `model` for a model folder. Pairs whose bundle was
dropped by minimality are taught the probability `dropped`; which they are, the same sessions say from
`kdb import --truth raw` (--raw). With `distil` it learns half from the annotations, half from what another student
of the file, trained on the same sessions, says of them (Hinton et al., arXiv 1503.02531).
"""

from __future__ import annotations

import argparse
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from crossvalidate import FOLDS

from kdb import console
from kdb.errors import KdbError
from kdb.io import stream
from kdb.partitions import pair_features, stacking
from kdb.prompts.messages import positions
from kdb.records import Session, SessionKey
from kdb.retrieval.embedder import open_embedder
from kdb.student.config import LoraConfig, MethodConfig, StudentConfig, TrainingConfig
from kdb.student.pairwise import stack
from kdb.student.pairwise.cross_fitting import fold_numbers, mean_loss
from kdb.student.pairwise.learner import LogOdds
from kdb.student.pairwise.training import Maker, PairTargets, fit
from kdb.student.weights import STUDENT

Part = TypeVar("Part", bound=msgspec.Struct)


class Cost(msgspec.Struct):
    """What the training of a student on the other folds took: weights that are read, processor seconds."""

    parameters: int
    seconds: float


class Row(msgspec.Struct):
    """One student in one domain, out of fold: loss in nats a pair, gain in nats a session, with standard errors."""

    student: str
    domain: str
    sessions: int
    loss: float
    loss_error: float
    gain: float
    gain_error: float
    parameters: int | None
    seconds: float | None


@dataclass
class Data:
    """The annotated sessions of one domain, their folds, and where what learners say of them is kept."""

    domain: str
    sessions: list[Session]
    folds: list[int]
    count: int
    """So many folds are held out, from the first."""
    folder: Path

    def place(self, student: str) -> Path:
        """The folder of a student."""
        return self.folder / student.replace(" ", "-")

    def is_made(self, student: str) -> bool:
        """Whether a student has been trained on all folds that count."""
        return all((self.place(student) / f"student-{fold}.npz").exists() for fold in range(self.count))

    def sides(self, fold: int) -> tuple[list[int], list[int]]:
        """The numbers of the sessions of the other folds, and of this one."""
        held_out = [n for n, own in enumerate(self.folds) if own == fold]
        return [n for n, own in enumerate(self.folds) if own != fold], held_out


@dataclass
class Found:
    """What a student says of each session that is held out, and what each fold took."""

    odds: list[LogOdds]
    costs: list[Cost]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions", type=Path, nargs="+", help="session records")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the cross-validation")
    parser.add_argument("--students", type=Path, required=True, help="TOML file of students")
    parser.add_argument("--raw", type=Path, action="append", default=[], help="the sessions with raw truth")
    parser.add_argument("--only", action="append", help="train this student, and make no table")
    parser.add_argument("--table", action="store_true", help="train nothing: compare what is there")
    parser.add_argument("--folds", type=int, default=FOLDS, help="so many of the five folds are held out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    students: dict[str, dict[str, Any]] = tomllib.loads(options.students.read_text(encoding="utf-8"))["students"]
    raw = {session.key: session for session in _sessions(options.raw)}
    sessions = _sessions(options.sessions)
    rows = []
    for domain in dict.fromkeys(s.domain for s in sessions):
        own = [stack.cut(s) for s in sessions if s.domain == domain and s.truth is not None and len(s.items) > 1]
        folds = fold_numbers([f"{s.domain}/{s.id}" for s in own], FOLDS, options.seed)
        data = Data(domain, own, folds, options.folds, options.output / "learners" / domain)
        found = {
            name: student_odds(name, students, data, raw, options.seed)
            for name in students
            if name in (options.only or students) and (not options.table or data.is_made(name))
        }
        rows += [] if options.only else compared(data, found)
    if not options.only:
        (options.output / f"{options.students.stem}.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(rows))
        print(table(rows), end="")


def _sessions(files: Sequence[Path]) -> list[Session]:
    lines = stream.read(files, ("session",)) if files else []
    return [line.record for line in lines if isinstance(line.record, Session)]


def student_odds(
    name: str, students: dict[str, dict[str, Any]], data: Data, raw: dict[SessionKey, Session], seed: int
) -> Found:
    """What a student says of each session by the other folds, and what that took."""
    settings = dict(students[name])
    taught = stack.pair_targets(data.sessions)
    if dropped := settings.pop("dropped", 0.0):
        teach_dropped(taught, data.sessions, raw, dropped)
    teacher = settings.pop("distil", "")
    teaches = name in (own.get("distil") for own in students.values())
    maker = student_maker(settings, seed)
    place = data.place(name)
    place.mkdir(parents=True, exist_ok=True)
    for fold in range(data.count):
        file = place / f"student-{fold}.npz"
        if file.exists():
            continue
        began = time.process_time()
        rest, held_out = data.sides(fold)
        learnt = taught.subset(rest)
        if teacher:
            said = read_odds(data.place(teacher) / f"seen-{fold}.npz")
            learnt.targets = [
                np.float32(0.5) * (own + softened(odds)) for own, odds in zip(learnt.targets, said, strict=True)
            ]
        learner = maker.make()
        report = fit(learner, learnt, maker.settings, f"{data.domain}, {name}, fold {fold + 1}")
        cost = Cost(weights_read(learner), time.process_time() - began)
        if teaches:
            np.savez(place / f"seen-{fold}.npz", *learner.log_odds(learnt.titles))
        odds = learner.log_odds(taught.subset(held_out).titles)
        loss = mean_loss(odds, taught.subset(held_out).targets)
        console.say(f"{data.domain}, {name}, fold {fold + 1}: loss {report.losses[-1]:.4f}, held out {loss:.4f}")
        file.with_suffix(".json").write_bytes(msgspec.json.encode(cost))
        np.savez(file, *odds)
    files = [place / f"student-{fold}.json" for fold in range(data.count)]
    costs = [msgspec.json.decode(file.read_bytes(), type=Cost) for file in files if file.exists()]
    return Found(read_folds(place, "student", data), costs)


def read_folds(place: Path, name: str, data: Data) -> list[LogOdds]:
    """What a learner says of the sessions of the folds that count, in their order."""
    said: dict[int, LogOdds] = {}
    for fold in range(data.count):
        said |= zip(data.sides(fold)[1], read_odds(place / f"{name}-{fold}.npz"), strict=True)
    return [said[n] for n in sorted(said)]


def read_odds(file: Path) -> list[LogOdds]:
    """The log odds of each session in a file; KdbError where there is none."""
    if not file.exists():
        raise KdbError(f"{file}: no such file", "run samples/crossvalidate.py, or train the student, first")
    with np.load(file) as kept:
        return [kept[f"arr_{n}"] for n in range(len(kept.files))]


def softened(odds: LogOdds) -> LogOdds:
    """The probability that two items share a bundle, 0 on the diagonal."""
    found: LogOdds = (1 / (1 + np.exp(-odds))).astype(np.float32)
    np.fill_diagonal(found, 0)
    return found


def student_maker(settings: dict[str, Any], seed: int) -> Maker:
    """The student as `kdb train` makes it."""
    from kdb.stages import train_pairs

    config = StudentConfig(
        student=str(Path(settings.get("model", STUDENT)).expanduser()),
        method=_part(MethodConfig, settings),
        lora=_part(LoraConfig, settings),
        training=_part(TrainingConfig, settings),
    )
    parts = (config.method, config.lora, config.training)
    if unknown := settings.keys() - {"model"}.union(*(part.__struct_fields__ for part in parts)):
        raise KdbError(f"no setting {', '.join(sorted(unknown))}", "see kdb train --help")
    config.training.seed = seed
    return train_pairs.makers(config, "")["student"]


def _part(kind: type[Part], settings: dict[str, Any]) -> Part:
    """Those of the settings that are fields of `kind`."""
    own = {name: value for name, value in settings.items() if name in kind.__struct_fields__}
    return msgspec.convert(own, kind)


def weights_read(learner: Any) -> int:
    """How many weights the blocks have that are read, without those of embeddings."""
    found = 0
    for name, weight in learner.student.model.named_parameters():
        _, inside, place = name.partition(".layers.")
        if inside and (not learner.layers or int(place.partition(".")[0]) < learner.layers):
            found += weight.numel()
    return found


def teach_dropped(
    taught: PairTargets, sessions: list[Session], raw: dict[SessionKey, Session], target: float
) -> None:
    """Pairs that share a bundle of the raw truth alone are taught `target`."""
    for own, session in zip(taught.targets, sessions, strict=True):
        if session.key not in raw:
            raise KdbError(f"session {session.key} is not in --raw", "kdb import DATA --truth raw")
        shared = stack.pair_targets([stack.cut(raw[session.key])]).targets[0]
        own[(own == 0) & (shared == 1)] = target


def compared(data: Data, found: dict[str, Found]) -> list[Row]:
    """A row of each student: its own loss, and what it adds to embedder and pair features."""
    counted = [n for n, fold in enumerate(data.folds) if fold < data.count]
    truth = [positions(data.sessions[n].items, data.sessions[n].truth or []) for n in counted]
    targets = stack.pair_targets([data.sessions[n] for n in counted]).targets
    folds = [data.folds[n] for n in counted]
    embedder = read_folds(data.folder, "embedder", data)
    _, known = pair_features.fit(open_embedder(), data.sessions)
    rows = []
    for name, own in found.items():
        both = [embedder, own.odds]
        scale = stack.scale_of(both)
        joined = [stack.joined(known[n], [o[k] for o in both], scale) for k, n in enumerate(counted)]
        gain = stacking.fit(joined, truth, folds, len(both)).gains[-1]
        loss, errors = _mean([mean_loss([o], [t]) for o, t in zip(own.odds, targets, strict=True)])
        rows.append(
            Row(
                student=name,
                domain=data.domain,
                sessions=len(counted),
                loss=loss,
                loss_error=errors,
                gain=gain.mean,
                gain_error=gain.standard_error,
                parameters=own.costs[0].parameters if own.costs else None,
                seconds=sum(cost.seconds for cost in own.costs) / len(own.costs) if own.costs else None,
            )
        )
    return rows


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


def table(rows: Sequence[Row]) -> str:
    """Markdown: a row a student and domain."""
    lines = [
        "| domain | student | sessions | weights read | s a fold | its own log loss | gain, nats a session |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cost = ["–", "–"]
        if row.parameters is not None and row.seconds is not None:
            cost = [f"{row.parameters / 1e6:.0f} M", f"{row.seconds:.0f}"]
        cells = [row.domain, row.student, str(row.sessions), *cost]
        cells += [f"{row.loss:.4f} ± {row.loss_error:.4f}", f"{row.gain:+.4f} ± {row.gain_error:.4f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
