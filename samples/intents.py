"""Intents of true bundles, written by an adapter and by simpler ways, against what people wrote.

    kdb import electronic --titles electronic/item_titles_extra.csv --split-file electronic/split.json \\
      > sessions.jsonl
    python samples/intents.py sessions.jsonl --adapter adapter --split validation \\
      --beside "adapter that learnt thoughts too=thoughts" -o out/intents

Each bundle of the split is named by the adapter of `kdb train`, by the student without it, by the intent of the
most similar training bundle (cosine of mean title vectors), and by the most frequent category of its items; with
--beside by other adapters too. Scores are cosines of sentence vectors to the true intent. Differences are paired
and resampled over sessions.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from kdb.evaluation.bootstrap import interval, resampled_sums
from kdb.io import stream
from kdb.records import Bundle, Session
from kdb.retrieval.embedder import Embedder, nearest, open_embedder
from kdb.student import config as configs
from kdb.student import intent_neighbours, model
from kdb.student.adapter import load_adapter
from kdb.student.intents import FOLDER, bundle_titles, named_bundles, write_intents

ADAPTER = "adapter"
SWAPS = 9999


class Row(msgspec.Struct):
    """One bundle named in one way. Texts are kept apart, for those of the data belong to others."""

    way: str
    session: str
    cosine: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions", type=Path, nargs="+", help="session records of all splits")
    parser.add_argument("--adapter", type=Path, required=True, help="a folder of kdb train")
    parser.add_argument("--beside", metavar="NAME=FOLDER", action="append", default=[], help="one more adapter")
    parser.add_argument("--split", default="validation", help="whose bundles are named")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    options = parser.parse_args()
    sessions = [
        line.record for line in stream.read(options.sessions, ("session",)) if isinstance(line.record, Session)
    ]
    others = [other.partition("=") for other in options.beside]
    embedder = open_embedder()
    known = named_bundles([s for s in sessions if s.split == "train"])
    asked = named_bundles([s for s in sessions if s.split == options.split])
    true = [bundle.intent for _, bundle in asked]
    ways = {
        "most frequent category": [_category(session, bundle) for session, bundle in asked],
        "most similar training bundle": _retrieved(embedder, known, asked),
        "zero-shot": _written(options.adapter, embedder, asked, adapted=False),
        **{name: _written(Path(folder), embedder, asked, adapted=True) for name, _, folder in others},
        ADAPTER: _written(options.adapter, embedder, asked, adapted=True),
    }
    rows = [row for way, found in ways.items() for row in _scored(embedder, way, asked, found, true)]
    texts = [{"true": own, **{way: found[n] for way, found in ways.items()}} for n, own in enumerate(true)]
    options.output.mkdir(parents=True, exist_ok=True)
    encoder = msgspec.json.Encoder()
    (options.output / "cosines.jsonl").write_bytes(encoder.encode_lines(rows))
    (options.output / "texts.jsonl").write_bytes(encoder.encode_lines(texts))
    text = table(rows)
    (options.output / "intents.md").write_text(text, encoding="utf-8")
    print(text, end="")


Named = tuple[Session, Bundle]


def _titles(bundles: Sequence[Named]) -> list[list[str]]:
    return [bundle_titles(session, bundle) for session, bundle in bundles]


def _retrieved(embedder: Embedder, known: Sequence[Named], asked: Sequence[Named]) -> list[str]:
    rows, queries = (intent_neighbours.mean_vectors(embedder, _titles(own)) for own in (known, asked))
    return [known[row[0]][1].intent for row in nearest(queries, rows, 1)]


def _category(session: Session, bundle: Bundle) -> str:
    """The last name of the category that most of the items have."""
    deepest = [max(item.category, key=len, default=[]) for item in session.items if item.id in bundle.items]
    names = [path[-1] for path in deepest if path]
    return Counter(names).most_common(1)[0][0] if names else ""


def _written(folder: Path, embedder: Embedder, asked: Sequence[Named], adapted: bool) -> list[str]:
    student, neighbours = model.load(configs.read(folder).student), None
    if adapted:
        dtype, neighbours = student.model.dtype, intent_neighbours.load(folder / FOLDER, embedder)
        student.model = load_adapter(student.model, folder / FOLDER).to(dtype).eval()
    return write_intents(student, _titles(asked), 16, neighbours)


def _scored(
    embedder: Embedder, way: str, asked: Sequence[Named], found: Sequence[str], true: Sequence[str]
) -> list[Row]:
    cosine = np.einsum("nd,nd->n", embedder.encode(list(found)), embedder.encode(list(true)))
    return [Row(way, session.id, round(float(c), 4)) for (session, _), c in zip(asked, cosine, strict=True)]


def table(rows: Sequence[Row]) -> str:
    """Markdown: the mean cosine of each way, the adapter's difference from it with a 95 % interval, and p."""
    ways = list(dict.fromkeys(row.way for row in rows))
    text = ["| intents | bundles | cosine | the adapter's difference | p |", "|---|--:|--:|--:|--:|"]
    own = [row.cosine for row in rows if row.way == ADAPTER]
    for way in ways:
        its = [row for row in rows if row.way == way]
        change = (
            " | " if way == ADAPTER else _difference([row.session for row in its], own, [row.cosine for row in its])
        )
        text.append(f"| {way} | {len(its)} | {np.mean([row.cosine for row in its]):.3f} | {change} |")
    return "\n".join(text) + "\n"


def _difference(sessions: Sequence[str], first: Sequence[float], second: Sequence[float]) -> str:
    """The mean difference over bundles, its interval by bootstrap over sessions, and p by swaps of sessions."""
    keys = list(dict.fromkeys(sessions))
    sums = np.zeros((len(keys), 2))
    for session, a, b in zip(sessions, first, second, strict=True):
        sums[keys.index(session)] += (a - b, 1)
    resampled = resampled_sums(sums, seed=0)
    found = interval(resampled[:, 0] / resampled[:, 1])
    assert found
    swaps = np.random.default_rng(0).choice([-1.0, 1.0], size=(SWAPS, len(keys))) @ sums[:, 0]
    p = (1 + np.sum(np.abs(swaps) >= abs(sums[:, 0].sum()) - 1e-12)) / (1 + SWAPS)
    return f"{sums[:, 0].sum() / sums[:, 1].sum():+.3f} [{found[0]:+.3f}, {found[1]:+.3f}] | {p:.4f}"


if __name__ == "__main__":
    main()
