"""Writes a small shop's log and catalogue: `python samples/make_shop.py [FOLDER]` (default: samples/shop).

Invented shoppers look at the products of `scenarios/kitchen.toml`: `clicks.csv` is what the shop's web server would
have logged, `items.csv` its catalogue, and `labelled.csv` a sheet of `kdb export --sheet` in which somebody has put
the products of the first sessions into bundles.
"""

import csv
import html
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from make_samples import SEED, Session, draw_sessions, read_shop

from kdb import records
from kdb.io.stream import Rejects
from kdb.records import Bundle
from kdb.sources.config import EventConfig, ImportConfig
from kdb.sources.sheet import sheet_rows
from kdb.stages.import_ import import_sessions

HERE = Path(__file__).parent
SESSIONS, LABELLED, USERS = 160, 60, 70
FIRST_DAY = 1_709_251_200  # 2024-03-01
DAYS = 30
Visit = tuple[int, int, Session]
"""A user, the second at which the visit begins, and what is looked at."""


def draw_visits(sessions: list[Session], rng: random.Random) -> list[Visit]:
    """When each session is and whose, in the order of time; visits of one user are hours apart."""
    starts = sorted(rng.sample(range(FIRST_DAY, FIRST_DAY + DAYS * 86_400, 7_200), len(sessions)))
    return [(rng.randrange(USERS), start, session) for start, session in zip(starts, sessions, strict=True)]


def events(visits: list[Visit], number: dict[str, str], rng: random.Random) -> list[tuple[str, str, str, str]]:
    """Rows of user, item, time and event: views, some of them again, some followed by a cart; and searches."""
    rows = []
    for user, second, session in visits:
        bundled = {title for bundle in session.bundles for title in bundle.items}
        for n, title in enumerate(session.items):
            kinds = [
                "view",
                *["view"] * (rng.random() < 0.2),
                *["cart"] * (rng.random() < 0.5 * (title in bundled)),
            ]
            if n and rng.random() < 0.1:
                rows.append((second - 5, f"u{user:03}", "", "search"))
            for kind in kinds:
                rows.append((second, f"u{user:03}", number[title], kind))
                second += rng.randrange(15, 240)
    rows.sort()
    return [(user, item, datetime.fromtimestamp(t, UTC).isoformat().replace("+00:00", "Z"), kind)
            for t, user, item, kind in rows]  # fmt: skip


def write_csv(path: Path, header: str, rows: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])


def write_labels(folder: Path, visits: list[Visit], number: dict[str, str]) -> None:
    """The sheet of the first sessions, filled in; a session that serves nothing stays empty."""
    truth = {
        f"u{user:03}@{start}": [Bundle([number[title] for title in b.items], b.intent) for b in session.bundles]
        for user, start, session in visits
    }
    config = ImportConfig(domain="shop", log=EventConfig([folder / "items.csv"], events=["view", "cart"]))
    blocks = import_sessions("events", [folder / "clicks.csv"], config, Rejects())
    read = [msgspec.json.decode(line, type=records.Session) for block in blocks for line in block.splitlines()]
    sessions = sorted(read, key=lambda session: session.time)[:LABELLED]
    for session in sessions:
        known = {item.id for item in session.items}
        session.bundles = [b for b in truth[session.id] if known.issuperset(b.items)]
    (folder / "labelled.csv").write_bytes(b"".join(row + b"\n" for row in sheet_rows(sessions)))


def main(folder: Path) -> None:
    rng = random.Random(f"{SEED} shop")
    shop = read_shop(HERE / "scenarios" / "kitchen.toml")
    visits = draw_visits(draw_sessions(shop, SESSIONS, rng), rng)
    products = sorted({title for _, _, session in visits for title in session.items})
    codes = rng.sample(range(1000, 10_000), len(products))
    number = {title: f"K{code}" for title, code in zip(products, codes, strict=True)}
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "clicks.csv", "user_id,item_id,timestamp,event_type", events(visits, number, rng))
    # Shops export HTML: `&` comes escaped.
    items = sorted((code, html.escape(title, quote=False), shop.category[title]) for title, code in number.items())
    write_csv(folder / "items.csv", "item_id,title,category", items)
    write_labels(folder, visits, number)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "shop")
