"""The kinds of record that flow between stages, and their validation.

Every record is one JSON object with a `kind`; fields that are not named here pass through untouched,
because a stage hands on the line that it read (see `kdb.stream`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

FORMAT = 1
"""The `v` of records written today. A record without `v` is read as this one; a larger one is refused."""

Split = Literal["train", "validation", "test"]
Format = Literal["pattern", "rule", "thought"]
Status = Literal["ok", "repaired", "failed"]


Key = tuple[str, str]
"""The domain and the id of a session: ids repeat between domains."""


class Item(Struct, omit_defaults=True):
    """A product. `category` holds every path of the product, each from the broadest name to the narrowest."""

    id: str
    title: str
    category: list[list[str]] = []


class Bundle(Struct):
    """Two or more items (by id) bought together for one intent.

    `probability` is that of a predicted bundle to lie within a true one; absent where the predictor has none.
    """

    items: list[str]
    intent: str = ""
    probability: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET


class Usage(Struct, omit_defaults=True):
    """Tokens that a model read and wrote, and what that cost in US dollars (absent if unpaid)."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


class Source(Struct, omit_defaults=True):
    """What knowledge was drawn from: session ids, and ids of the knowledge that it was made of."""

    sessions: list[str] = []
    parents: list[str] = []


class FirstRound(Struct):
    """How right the teacher's first answer to a session was, before it reflected."""

    precision: float
    recall: float


class Record(Struct, kw_only=True, tag_field="kind"):
    """The base of all kinds."""

    v: int = FORMAT

    def __post_init__(self) -> None:
        if self.v > FORMAT:
            raise ValueError(f"v: written in format {self.v}, this kdb reads up to {FORMAT}; upgrade kdb")


class Imported(Struct, frozen=True, omit_defaults=True):
    """How `kdb import` made a session of what it read: the data policy that results must state.

    `hash` is that of the files; `untitled` says what became of so many items without a title in so many sessions.
    """

    source: str = ""
    hash: str = ""
    titles: str = ""
    untitled: Literal["", "none", "drop", "keep"] = ""
    untitled_items: int = 0
    untitled_sessions: int = 0
    truth: Literal["", "minimal", "raw"] = ""
    split: str = ""


class Session(Record, tag="session", omit_defaults=True):
    """A shopping session; `bundles` is the truth and absent where nobody annotated it.

    `user` and `time`, the Unix second of its first event, are those of the log that it was cut from.
    """

    id: str
    domain: str
    items: list[Item]
    split: Split | None = None
    bundles: list[Bundle] | UnsetType = UNSET
    user: str | int | UnsetType = UNSET
    time: int | float | UnsetType = UNSET
    imported: Imported | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        known = check_items([item.id for item in self.items])
        check_bundles(self.bundles or [], known, "bundles")

    @property
    def truth(self) -> list[Bundle] | None:
        """The true bundles, or None where the session is not annotated."""
        return None if isinstance(self.bundles, UnsetType) else self.bundles


class Knowledge(Record, tag="knowledge", omit_defaults=True):
    """One piece of teacher knowledge; `text` is what a student reads."""

    id: str
    format: Format
    domain: str
    text: str
    source: Source = field(default_factory=Source, name="from")
    teacher: str = ""
    prompt: str = ""
    usage: Usage = field(default_factory=Usage)
    support: float | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    lift: float | UnsetType = UNSET
    count: int | UnsetType = UNSET
    antecedent: list[str] | UnsetType = UNSET
    consequent: list[str] | UnsetType = UNSET
    first_round: FirstRound | UnsetType = UNSET
    first_rounds: dict[str, FirstRound] | UnsetType = UNSET
    contradicts: list[str] | UnsetType = UNSET
    checks: list[str] | UnsetType = UNSET


class Rating(Struct):
    """How a teacher rates the intent of a predicted bundle, from 1 to 5 on each scale of AICL."""

    items: list[str]
    naturalness: int
    coverage: int
    motivation: int
    teacher: str


class Prediction(Record, tag="prediction"):
    """What a run predicts for one session; `items` are the session's item ids, `truth` its true bundles."""

    id: str
    domain: str
    items: list[str]
    bundles: list[Bundle]
    status: Status
    run: str
    raw: str = ""
    truth: list[Bundle] | None = None
    demos: list[str] = []
    knowledge: list[str] = []
    left_out: int = 0
    """How many demonstrations and pieces of knowledge did not fit into the prompt."""
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    user: str | int | UnsetType = UNSET
    time: int | float | UnsetType = UNSET
    imported: Imported | UnsetType = UNSET
    ratings: list[Rating] | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        known = check_items(self.items)
        check_bundles(self.truth or [], known, "truth")


class CollectedBundle(Record, tag="bundle", omit_defaults=True):
    """A bundle that was predicted in so many `sessions` of so many `users`; `intent` is the most frequent.

    `probability` is the mean; `first` and `last` are Unix seconds. What no prediction says is absent.
    """

    domain: str
    items: list[Item]
    sessions: int
    intent: str = ""
    users: int | UnsetType = UNSET
    probability: float | UnsetType = UNSET
    first: int | UnsetType = UNSET
    last: int | UnsetType = UNSET


class Metric(Record, tag="metric"):
    """The score of one run on one domain under one protocol; `intervals` are 95 % bootstrap bounds.

    A run with several seeds has a record for each seed and one for all of them: its values are means over the
    seeds, `seeds` names the runs that it stands for, `spread` are the standard deviations over them.

    `by` names the slice of the sessions that was scored, such as `{"length": "4"}`; empty: all of them.
    `imported` is what is known of how the sessions were imported, each way that there was.
    """

    run: str
    domain: str
    protocol: str
    sessions: int
    values: dict[str, float | None]
    intervals: dict[str, list[float]] = {}
    counts: dict[str, int] = {}
    settings: dict[str, Any] = {}
    by: dict[str, str] = {}
    imported: list[Imported] = []
    seeds: list[str] = []
    spread: dict[str, float] = {}


class Comparison(Record, tag="comparison"):
    """The difference between a run and its reference (first minus second) on the same sessions of one domain.

    `family` names the question that it belongs to: `baseline` (each student against the best baseline) or a tag
    that the runs were given, such as `format`. `intervals` are 95 % paired bootstrap bounds, `p` are paired
    permutation tests, `p_holm` the same corrected over the comparisons of the family; both are empty where the
    difference is only described. `p_floor` is the smallest p that so many permutations can give.
    """

    runs: tuple[str, str]
    domain: str
    protocol: str
    sessions: int
    differences: dict[str, float | None]
    intervals: dict[str, list[float]]
    p: dict[str, float]
    p_holm: dict[str, float]
    family: str = ""
    reference: str = ""
    p_floor: float = 0.0


class ReliabilityBin(Struct):
    """Bundles of similar probability: how many, their mean probability, the share of them that are hits."""

    bundles: int
    probability: float
    precision: float


class PrecisionAtShare(Struct):
    """The precision of the bundles with the highest probabilities: their share, and the lowest one among them."""

    share: float
    precision: float
    probability: float


class Calibration(Record, tag="calibration"):
    """How far the probabilities of a run's bundles can be believed, on one domain."""

    run: str
    domain: str
    bundles: int
    bins: list[ReliabilityBin]
    kept: list[PrecisionAtShare]


class Match(Struct):
    """A predicted bundle and the true one matched with it; either is empty where there was no match."""

    predicted: list[str]
    true: list[str]
    jaccard: float
    hit: bool


class SessionScore(Record, tag="score"):
    """What one session adds to the sums that each metric is a ratio of, and the matches behind it."""

    run: str
    id: str
    domain: str
    status: str
    sums: dict[str, float]
    matches: list[Match]


class Run(Record, tag="run"):
    """Enough to repeat a run: its settings, versions, seed and input hashes, and what it measured."""

    id: str
    command: str
    settings: dict[str, Any]
    seed: int | None = None
    versions: dict[str, str] = {}
    inputs: dict[str, str] = {}
    measured: dict[str, Any] = {}


AnyRecord = (
    Session | Knowledge | Prediction | CollectedBundle | Metric | Comparison | Calibration | SessionScore | Run
)
KINDS: dict[str, type[Record]] = {
    "session": Session,
    "knowledge": Knowledge,
    "prediction": Prediction,
    "bundle": CollectedBundle,
    "metric": Metric,
    "comparison": Comparison,
    "calibration": Calibration,
    "score": SessionScore,
    "run": Run,
}


def check_items(items: Sequence[str]) -> set[str]:
    """The item ids as a set; ValueError where one is empty or stands twice, or where there is none."""
    if not items:
        raise ValueError("items: empty")
    known = set(items)
    if len(known) < len(items):
        again = next(i for n, i in enumerate(items) if i in items[:n])
        raise ValueError(f"items: item {again!r} stands twice")
    if "" in known:
        raise ValueError("items: an id is empty")
    return known


def check_bundles(bundles: Sequence[Bundle], known: Set[str], name: str) -> None:
    """ValueError where a bundle has fewer than two items, one twice, or one that is not in the session."""
    for n, bundle in enumerate(bundles):
        own = set(bundle.items)
        if len(own) < len(bundle.items):
            raise ValueError(f"{name}[{n}]: an item stands twice in it")
        if len(own) < 2:
            raise ValueError(f"{name}[{n}]: fewer than two items")
        if not own <= known:
            stranger = next(i for i in bundle.items if i not in known)
            raise ValueError(f"{name}[{n}]: item {stranger!r} is not in the session")


class Head(Struct):
    """The one field that every line must have."""

    kind: str


def explain(error: Exception) -> str:
    """A decoder's complaint in our words: the field first, then what is wrong with it."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = str(error)
    where = re.search(r" - at `\$\.?(.*?)`$", text)
    path = where.group(1) if where else ""
    text = text[: where.start()] if where else text
    missing = re.fullmatch(r"Object missing required field `(.*)`", text)
    if missing:
        return f"missing field '{path + '.' if path else ''}{missing.group(1)}'"
    if not isinstance(error, msgspec.ValidationError):
        return f"not JSON: {text}"
    return f"{path}: {text}" if path else text
