"""Writes the sample catalogue: `python samples/make_samples.py [FOLDER]` (default: the folder of this file).

From the hand-written products and scenarios of `scenarios/DOMAIN.toml` it draws shopping sessions, writes
them in the BundleRec layout to `DOMAIN/`, and all of them as session records to `sessions.jsonl`. In
`demo.jsonl` are more sessions of the first shop, enough of them to compare methods.
"""

import csv
import html
import json
import random
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from kdb.io import stream
from kdb.io.stream import Line, Rejects
from kdb.records import Bundle, Record
from kdb.sources import splits
from kdb.sources.config import ImportConfig
from kdb.sources.truth import minimal
from kdb.stages.import_ import import_sessions

HERE = Path(__file__).parent
DOMAINS = ("kitchen", "outdoor")
SESSIONS, MAX_ITEMS = 40, 9
DEMO_SESSIONS, DEMO_RATIO = 140, (0.45, 0.1, 0.45)
SEED = 2504
RATIO = (0.7, 0.1, 0.2)
FIRST_DAY = 1_700_000_000  # seconds; one session an hour


@dataclass
class Shop:
    """Products by kind, the category of each, the scenarios, and how often a product was shown so far.

    A product is named by its title here; item numbers are drawn when all is written.
    """

    scenarios: list[dict]
    titles: dict[str, list[str]]
    category: dict[str, str]
    shown: Counter[str] = field(default_factory=Counter)


@dataclass
class Session:
    """Titles in the order they were looked at, and the bundles among them."""

    items: list[str]
    bundles: list[Bundle]


def read_shop(path: Path) -> Shop:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    groups = data["category"].items()
    titles = {kind: titles for _, kinds in groups for kind, titles in kinds.items()}
    category = {title: name for name, kinds in groups for those in kinds.values() for title in those}
    return Shop(data["scenario"], titles, category)


def draw_session(shop: Shop, scenarios: list[dict], rng: random.Random) -> Session:
    """A session that serves these scenarios, with products beside them that serve none."""
    chosen: dict[str, str] = {}  # kind -> product: scenarios that share a kind share the product
    bundles = []
    for scenario in scenarios:
        size = rng.choices((2, 3, 4, 5), (30, 40, 20, 10))[0]
        kinds = rng.sample(scenario["kinds"], min(size, len(scenario["kinds"])))
        fresh = [kind for kind in kinds if kind not in chosen]
        if len(chosen) + len(fresh) > MAX_ITEMS:
            continue
        chosen |= {kind: show(shop, kind, rng) for kind in fresh}
        bundles.append(Bundle([chosen[kind] for kind in kinds], rng.choice(scenario["intents"])))
    related = {kind for scenario in scenarios for kind in scenario["kinds"]}
    unrelated = [kind for kind in shop.titles if kind not in related]
    more = rng.choices((0, 1, 2, 3), (15, 35, 30, 20))[0]
    more = min(max(more, 3 - len(chosen)), MAX_ITEMS - len(chosen))
    items = [*chosen.values(), *(show(shop, kind, rng) for kind in rng.sample(unrelated, more))]
    rng.shuffle(items)
    return Session(items, minimal(bundles))


def show(shop: Shop, kind: str, rng: random.Random) -> str:
    """A product of this kind, one of those shown least so far."""
    title = min(shop.titles[kind], key=lambda title: (shop.shown[title], rng.random()))
    shop.shown[title] += 1
    return title


def draw_sessions(shop: Shop, count: int, rng: random.Random) -> list[Session]:
    """Sessions of a shop; scenarios come from a deck, so that each is met about equally often."""
    deck: list[dict] = []
    sessions = []
    for _ in range(count):
        served = rng.choices((1, 2, 3), (50, 38, 12))[0]
        if len(deck) < served:
            deck = rng.sample(shop.scenarios, len(shop.scenarios))
        sessions.append(draw_session(shop, [deck.pop() for _ in range(served)], rng))
    return sessions


def write_domain(
    folder: Path,
    shop: Shop,
    sessions: list[Session],
    rng: random.Random,
    ratio: tuple[float, float, float] = RATIO,
) -> None:
    """The files of the BundleRec layout, and a split."""
    products = sorted({title for session in sessions for title in session.items})
    number = dict(zip(products, rng.sample(range(100, 100 + len(products)), len(products)), strict=True))
    bundles = [(n, bundle) for n, session in enumerate(sessions) for bundle in session.bundles]
    by_number = sorted((n, title) for title, n in number.items())
    tables = {
        "session_item": (
            "session ID,item ID",
            [(n, number[i]) for n, s in enumerate(sessions) for i in s.items],
        ),
        "session_bundle": ("session ID,bundle ID", [(session, n) for n, (session, _) in enumerate(bundles)]),
        "bundle_item": (
            "bundle ID,item ID",
            [(n, number[i]) for n, (_, b) in enumerate(bundles) for i in b.items],
        ),
        "bundle_intent": ("bundle ID,intent", [(n, bundle.intent) for n, (_, bundle) in enumerate(bundles)]),
        # Shops export HTML: `&` comes escaped.
        "item_titles": ("item ID,titles", [(n, html.escape(title, quote=False)) for n, title in by_number]),
        "item_categories": (
            "item ID,categories",
            [(n, f"[[{shop.category[title].replace(' > ', ',')}]]") for n, title in by_number],
        ),
        "user_session": (
            "user ID,session ID,timestamp",
            [(n, n, FIRST_DAY + 3600 * n) for n in range(len(sessions))],
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, (header, rows) in tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])
    drawn = splits.draw(map(str, range(len(sessions))), ratio, SEED)
    lists = {split: sorted((s for s in drawn if drawn[s] == split), key=int) for split in splits.SPLITS}
    (folder / "split.json").write_text(json.dumps(lists, indent=1) + "\n", encoding="utf-8")


def records(folder: Path) -> Iterable[Line | Record | bytes]:
    """What `kdb import FOLDER` makes of a folder written here."""
    config = ImportConfig(split=splits.SplitRule(folder / "split.json"))
    return import_sessions("bundlerec", [folder], config, Rejects())


def main(folder: Path) -> None:
    for domain in DOMAINS:
        rng = random.Random(f"{SEED} {domain}")
        shop = read_shop(HERE / "scenarios" / f"{domain}.toml")
        write_domain(folder / domain, shop, draw_sessions(shop, SESSIONS, rng), rng)
    with (folder / "sessions.jsonl").open("wb") as file:
        for domain in DOMAINS:
            stream.write(records(folder / domain), file)
    with TemporaryDirectory() as scratch, (folder / "demo.jsonl").open("wb") as file:
        larger = Path(scratch) / DOMAINS[0]
        rng = random.Random(f"{SEED} demo")
        shop = read_shop(HERE / "scenarios" / f"{DOMAINS[0]}.toml")
        write_domain(larger, shop, draw_sessions(shop, DEMO_SESSIONS, rng), rng, DEMO_RATIO)
        stream.write(records(larger), file)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
