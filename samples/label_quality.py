"""What labels are worth, by their quality: a few annotated sessions, the rest labelled by a teacher that errs.

    kdb import electronic --titles electronic/item_titles_extra.csv --split-file electronic/split.json > all.jsonl
    python samples/label_quality.py all.jsonl -o out/labels

The teacher is a stand-in: annotations degraded to a given mean matched F1. Items picked at random join another item
of their session, or are left alone; how many, a Poisson distribution says whose mean is searched for. A real
teacher errs in its own, less random ways. Each training session that is not among the annotated ones is labelled
so; its categories are taken away, for in the public data only bundled items have one. The learner is the partition
model without a student (the baseline partition-crf-frozen; its calibration, which moves no bundle, is left out),
scored on the validation and test sessions, which it never sees. Rows are written as they come: a run that is
stopped leaves those of whole draws, and --table makes the table of what is there.

With --labels FILE the labels are a real teacher's. --ask FILE writes what it is to be given for the first draw:
the sessions that nobody annotated, then the others. With --labels NAME=FILE a part of them is learnt beside the
annotated sessions, here one that `kdb select` takes.

    python samples/label_quality.py all.jsonl -o out/labels --ask ask.jsonl
    kdb extract label ask.jsonl --teacher http://localhost:8000/v1 --model qwen2.5-coder-0.5b-instruct \\
      --samples 1 --demos 2 --max-tokens 120 --sessions 561 > labels.jsonl
    { head -n 561 ask.jsonl; grep '"kind":"knowledge"' labels.jsonl; } > unannotated.jsonl
    kdb select unannotated.jsonl --strategy length --amount 0.25 > part.jsonl
    python samples/label_quality.py all.jsonl -o out/labels --seeds 1 --labels labels.jsonl \\
      --labels "length 25 %=part.jsonl"
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import structs

from kdb import console
from kdb.evaluation.matched_session import matched_f1
from kdb.extraction.label_votes import consensus
from kdb.io import stream
from kdb.partitions import crf, mbr, pair_features
from kdb.prompts.messages import positions
from kdb.records import Bundle, Knowledge, Session, Source
from kdb.retrieval.embedder import open_embedder
from kdb.retrieval.labels import Labels, labelled, trusted, usable
from kdb.student.pairwise import stack

SHARE = 0.1
QUALITIES = (1.0, 0.8, 0.6, 0.45)
"""Of answers; bundles that items were moved between without end have 0.41 on Electronic."""
FEW, ALL = "annotated, 10 %", "annotated, 100 %"
RESAMPLES = 5000
MOST = 200
"""Moves of the items of one session."""


class Row(msgspec.Struct):
    """How one setting did on all held-out sessions, with one draw of the annotated ones.

    `label_f1` is the mean matched F1 of the labels, `scores` that of each held-out session, in order.
    """

    setting: str
    seed: int
    annotated: int
    labels: int
    label_f1: float | None
    scores: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions", type=Path, nargs="+", help="session records of all splits")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--labels", action="append", default=[], help="labels of a real teacher: FILE or NAME=FILE")
    parser.add_argument("--ask", type=Path, help="only write the sessions that a teacher labels for the first draw")
    parser.add_argument("--fit-all", action="store_true", help="fit the partition model to labels in any case")
    parser.add_argument("--table", action="store_true", help="measure nothing: the table of the rows in the folder")
    parser.add_argument("--seeds", type=int, default=10, help="so many draws of the annotated sessions")
    parser.add_argument("--samples", type=int, default=1, help="answers of the stand-in about each session")
    options = parser.parse_args()
    console.configure(quiet=True)
    records = [line.record for line in stream.read(options.sessions, ("session",))]
    sessions = [one for one in records if isinstance(one, Session) and one.truth is not None]
    training = [one for one in sessions if one.split == "train" and len(one.items) > 1]
    held_out = [one for one in sessions if one.split in ("validation", "test")]
    found = [read_labels(text) for text in options.labels]
    given = [label for name, labels in found if not name for label in labels]
    parts = {name: labels for name, labels in found if name}
    if options.ask:
        annotated, rest = drawn(training, 0)
        with options.ask.open("wb") as out:
            return stream.write([*map(bare, rest), *annotated], out)
    file = options.output / "rows.jsonl"
    if not options.table:
        options.output.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            for row in measured(training, held_out, given, parts, options):
                out.write(msgspec.json.encode(row) + b"\n")
                out.flush()
                print(f"{row.seed} {row.setting}: {np.mean(row.scores):.4f}", flush=True)
    text = table(msgspec.json.Decoder(Row).decode_lines(file.read_bytes()))
    (options.output / "table.md").write_text(text, encoding="utf-8")
    print(text)


def read_labels(text: str) -> tuple[str, list[Knowledge]]:
    """The name, if there is one, and the labels of NAME=FILE or FILE."""
    name, _, file = text.rpartition("=")
    records = [line.record for line in stream.read([Path(file)], ("knowledge",))]
    return name, [one for one in records if isinstance(one, Knowledge) and one.format == "label"]


def measured(
    training: Sequence[Session],
    held_out: Sequence[Session],
    given: Sequence[Knowledge],
    parts: Mapping[str, list[Knowledge]],
    options: argparse.Namespace,
) -> Iterator[Row]:
    """All settings with each draw of the annotated sessions; what is learnt from all of them once.

    Named `parts` of the labels are learnt beside the annotated sessions only.
    """
    for seed in range(options.seeds):
        annotated, rest = drawn(training, seed)
        yield Row(FEW, seed, len(annotated), 0, None, scores(annotated, {}, held_out, options.fit_all))
        for known in (annotated, []):
            for name, labels in taught(rest, given, seed, options.samples):
                learnt, used, quality = labelled_sessions(rest, labels)
                setting = f"{FEW}, the rest by {name}" if known else f"labels alone, by {name}"
                found = scores([*known, *learnt], used, held_out, options.fit_all)
                yield Row(setting, seed, len(known), len(learnt), quality, found)
        for name, labels in parts.items():
            learnt, used, quality = labelled_sessions(rest, labels)
            found = scores([*annotated, *learnt], used, held_out, options.fit_all)
            yield Row(f"{FEW}, labels: {name}", seed, len(annotated), len(learnt), quality, found)
        if not seed:
            yield Row(ALL, -1, len(training), 0, None, scores(training, {}, held_out, options.fit_all))


def drawn(training: Sequence[Session], seed: int) -> tuple[list[Session], list[Session]]:
    """The annotated sessions of a draw, and the others."""
    chosen = set(random.Random(seed).sample(range(len(training)), round(SHARE * len(training))))
    annotated = [one for n, one in enumerate(training) if n in chosen]
    return annotated, [one for n, one in enumerate(training) if n not in chosen]


def bare(session: Session) -> Session:
    """A session as nobody annotated it."""
    items = [structs.replace(item, category=[]) for item in session.items]
    return structs.replace(session, bundles=msgspec.UNSET, items=items)


def taught(
    rest: Sequence[Session], given: Sequence[Knowledge], seed: int, samples: int
) -> Iterator[tuple[str, list[Knowledge]]]:
    """The labels of each teacher."""
    for teacher in sorted({label.teacher for label in given}):
        yield teacher, [label for label in given if label.teacher == teacher]
    for quality in () if given else QUALITIES:
        yield f"a teacher of F1 {quality}", degraded(rest, quality, seed, samples)


def labelled_sessions(rest: Sequence[Session], given: Sequence[Knowledge]) -> tuple[list[Session], Labels, float]:
    """The sessions as nobody annotated them, with their labels, and the mean matched F1 of these."""
    asked = [bare(one) for one in rest]
    labels = usable(asked, given, 0.0)
    learnt = [labelled(one, labels) for one in asked if one.key in labels]
    truth = {one.key: one.truth or [] for one in rest}
    return learnt, labels, float(np.mean([f1(one.truth or [], truth[one.key]) for one in learnt]))


def scores(training: Sequence[Session], labels: Labels, held_out: Sequence[Session], fit_all: bool) -> list[float]:
    """Matched F1 of each held-out session, by what is fitted to the training sessions."""
    targets = stack.pair_targets(training, labels)
    features, pairs = pair_features.fit(open_embedder(), training, targets.targets, targets.weights)
    sure = range(len(training)) if fit_all else trusted(training, labels)
    truth = [positions(training[n].items, training[n].truth or []) for n in sure]
    weights = crf.fit([pairs[n] for n in sure], truth, session_weights=[targets.weights[n] for n in sure])
    found = []
    for one in held_out:
        decoded = mbr.decode(features.pairs(one.items), weights, "f1")
        bundles = [Bundle([one.items[n].id for n in own.positions]) for own in decoded]
        found.append(round(f1(bundles, one.truth or []), 4))
    return found


def f1(one: Sequence[Bundle], other: Sequence[Bundle]) -> float:
    return matched_f1([bundle.items for bundle in one], [bundle.items for bundle in other])


def degraded(sessions: Sequence[Session], quality: float, seed: int, samples: int) -> list[Knowledge]:
    """Labels of a stand-in whose answers have this mean matched F1: of one answer a session, or of several."""

    def answers(moves: float, sample: int) -> list[list[Bundle]]:
        return [moved(one, moves, random.Random(f"{seed} {sample} {one.key}")) for one in sessions]

    low, high = 0.0, MOST / 4
    for _ in range(25 if quality < 1 else 0):
        middle = (low + high) / 2
        pairs = zip(answers(middle, 0), sessions, strict=True)
        is_better = np.mean([f1(found, one.truth or []) for found, one in pairs]) > quality
        low, high = (middle, high) if is_better else (low, middle)
    drawn = [answers(low, sample) for sample in range(samples)]
    return [label(one, [own[n] for own in drawn], quality) for n, one in enumerate(sessions)]


def moved(session: Session, moves: float, rng: random.Random) -> list[Bundle]:
    """The true bundles after a Poisson number of moves: an item joins another one's bundle, or is left alone."""
    count = poisson(moves, rng.random())
    if not count:
        return session.truth or []
    ids = [item.id for item in session.items]
    group = {item: n for n, item in enumerate(ids)}
    for n, bundle in enumerate(session.truth or []):
        for item in bundle.items:
            group[item] = -1 - n  # of several bundles the last has it
    for n in range(count):
        item, other = rng.choice(ids), rng.choice(ids)
        group[item] = len(ids) + n if item == other else group[other]
    members: dict[int, list[str]] = {}
    for item in ids:
        members.setdefault(group[item], []).append(item)
    return [Bundle(own) for own in members.values() if len(own) > 1]


def poisson(mean: float, u: float) -> int:
    """The quantile `u`, so that more moves are made of a session as the mean grows, and never fewer."""
    count, p = 0, math.exp(-mean)
    below = p
    while u > below and count < MOST:
        count += 1
        p *= mean / count
        below += p
    return count


def label(session: Session, answers: list[list[Bundle]], quality: float) -> Knowledge:
    agreed = consensus(answers)
    found = Knowledge(id="", format="label", domain=session.domain, text="", teacher=f"F1 {quality}")
    found.source, found.bundles = Source(sessions=[session.id]), agreed.bundles
    if agreed.confidence is not None:
        found.confidence = agreed.confidence
        found.pair_shares = [(a, b, share) for (a, b), share in agreed.pair_shares.items()]
    return found


def table(rows: Sequence[Row]) -> str:
    """Markdown: the mean of each setting, its difference from the few annotated sessions, the share of the gap."""
    settings = [ALL, *dict.fromkeys(row.setting for row in rows if row.setting != ALL)]
    per_draw = [
        {row.setting: row for row in rows if row.seed in (-1, seed)} for seed in {r.seed for r in rows} - {-1}
    ]
    draws = [of for of in per_draw if len(of) == len(settings)]  # a stopped run leaves one that is not whole
    means = {name: np.array([of[name].scores for of in draws]) for name in settings}
    gap = (means[ALL] - means[FEW]).mean()
    text = [
        f"Matched F1 on {means[ALL].shape[1]} held-out sessions, mean over {len(draws)} draws of the annotated"
        " sessions (± standard deviation over draws). Differences with 95 % intervals over draws and sessions.",
        "",
        "| learnt from | labels | F1 of labels | matched F1 | − 10 % annotated | share of the gap | verdict |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for name in settings:
        own = [of[name] for of in draws]
        cells = [name, f"{np.mean([row.labels for row in own]):.0f}"]
        cells.append("" if own[0].label_f1 is None else f"{np.mean([row.label_f1 or 0 for row in own]):.3f}")
        spread = means[name].mean(1).std(ddof=1) if len(own) > 1 else 0.0
        cells.append(f"{means[name].mean():.4f} ± {spread:.4f}")
        apart = means[name] - means[FEW]
        low, high = interval(apart)
        verdict = "helps" if low > 0 else "harms" if high < 0 else "tie"
        cells += [f"{apart.mean():+.4f} [{low:+.4f}, {high:+.4f}]", f"{apart.mean() / gap:.0%}", verdict]
        text.append(f"| {' | '.join(cells if name != FEW else [*cells[:4], 'reference', '', ''])} |")
    return "\n".join(text) + "\n"


def interval(apart: np.ndarray) -> tuple[float, float]:
    """95 % bounds of the mean of (draws, sessions): both are resampled."""
    rng = np.random.default_rng(0)
    draws, sessions = apart.shape
    means = [
        apart[np.ix_(rng.integers(0, draws, draws), rng.integers(0, sessions, sessions))].mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
