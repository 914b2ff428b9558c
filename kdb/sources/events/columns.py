"""Which column of a log or a catalogue holds what: as told by `--columns`, else by the names that logs use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kdb.errors import UsageError

NAMES: Mapping[str, tuple[str, ...]] = {
    "user": ("user", "user_id", "userid", "uid", "visitor_id", "visitorid", "customer_id", "reviewerid"),
    "item": ("item", "item_id", "itemid", "iid", "product_id", "productid", "parent_asin", "asin", "sku"),
    "time": ("time", "timestamp", "ts", "event_time", "datetime", "unixreviewtime", "created_at", "date"),
    "event": ("event", "event_type", "action", "behavior"),
    "session": ("session", "session_id", "sessionid", "user_session"),
    "title": ("title", "titles", "item_name", "product_name", "product_title", "movie_title", "name"),
    "category": ("category", "categories", "category_code", "main_category", "genres", "genre", "class"),
    "product": ("item", "item_id", "itemid", "product_id", "productid", "parent_asin", "asin", "sku", "id"),
}
"""The columns that are taken for each role where none is named, the first that a file has, in whatever case."""


@dataclass(frozen=True)
class Columns:
    """The columns by role, and how the files are written.

    `named`: what the user or a preset says; an empty name: the role is not filled. `header` names the first
    columns of logs that have no header line. `separator` "": as the first line shows it.
    """

    named: Mapping[str, str] = field(default_factory=dict)
    separator: str = ""
    quoted: bool = True
    header: tuple[str, ...] = ()

    def find(self, role: str, header: Sequence[str]) -> str | None:
        """The column of `header` that fills `role`, or None; a name may stand without its type (`:token`)."""
        plain = {name.strip().partition(":")[0]: name for name in reversed(header)}
        if role in self.named:
            name = self.named[role]
            return name if name in header else plain.get(name)
        lower = {name.lower(): column for name, column in plain.items()}
        return next((lower[name] for name in NAMES[role] if name in lower), None)


PRESETS: Mapping[str, Columns] = {
    # RecBole's atomic files name and type their columns, as in `user_id:token`, and quote nothing.
    "recbole": Columns(separator="\t", quoted=False),
    # Clicks and buys of the RecSys Challenge 2015: no header.
    "yoochoose": Columns({"session": "session", "user": "", "event": ""}, ",", header=("session", "time", "item")),
    # CIKM Cup 2016: a date, and milliseconds within the session; product names and categories in two files.
    "diginetica": Columns(
        {
            "session": "sessionId",
            "user": "userId",
            "item": "itemId",
            "time": "eventdate+timeframe",
            "product": "itemId",
            "title": "product.name.tokens",
            "category": "categoryId",
        },
        ";",
    ),
    # Reviews and metadata of 2014, 2018 (reviewerID, asin) and 2023 (user_id, parent_asin).
    "amazon": Columns({"session": "", "event": ""}),
}


def parse_columns(text: str) -> Columns:
    """`PRESET,role=column,...` in any order; UsageError where a preset or a role is unknown.

    A column may be a number from 1, for files without a header, and the time `date+milliseconds`.
    """
    columns = Columns()
    named: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        role, equals, name = part.partition("=")
        if not equals:
            if role not in PRESETS:
                raise UsageError(
                    f"--columns {role}: no such preset", f"one of {', '.join(PRESETS)}, or role=column"
                )
            columns = PRESETS[role]
        elif role not in NAMES:
            raise UsageError(f"--columns {part}: no such role", f"one of {', '.join(NAMES)}")
        else:
            named[role] = name
    columns = replace(columns, named={**columns.named, **named})
    numbers = [int(name) for name in named.values() if name.isdecimal()]
    if numbers and not columns.header:
        if min(numbers) < 1:
            raise UsageError("--columns: columns count from 1")
        columns = replace(columns, header=tuple(str(n) for n in range(1, max(numbers) + 1)))
    return columns


def parse_gap(text: str) -> int:
    """`30m` as seconds; units are s, m, h and d, seconds without one. UsageError where it is not that."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    if not (number.isascii() and number.isdecimal() and int(number)):
        raise UsageError(f"--gap {text}: not a length of time", "such as 90s, 30m, 8h, 1d")
    return int(number) * unit
