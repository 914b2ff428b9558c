"""An invented shop: sessions of a few products, each with one bundle."""

import random

from kdb.records import Bundle, Item, Session

WORDS = ["lamp", "shade", "drill", "screw", "tent", "stove", "spoon", "rope", "saw", "vase", "glue"]


def session(number: int, split: str | None = "train") -> Session:
    """A session of 3 to 6 products, the first two of which are a bundle."""
    rng = random.Random(number)
    items = [Item(f"{number}-{n}", f"{rng.choice(WORDS)} no {rng.randrange(20)}") for n in range(3 + number % 4)]
    bundles = [Bundle([items[0].id, items[1].id], "for the house")]
    return Session(id=str(number), domain="shop", items=items, split=split, bundles=bundles)


TRAINING = [session(n) for n in range(200)]
