"""Titles and categories of the items of a log, from the shop's catalogue."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kdb import console
from kdb.errors import KdbError
from kdb.io.stream import Rejects
from kdb.records import Item
from kdb.sources import categories
from kdb.sources.bundlerec import read_titles
from kdb.sources.config import ImportConfig
from kdb.sources.events.columns import Columns
from kdb.sources.events.log import Log
from kdb.sources.events.rows import identity
from kdb.sources.events.table_file import EXTRA, ROW, TableFile, find_files, open_table, whole
from kdb.sources.events.text_records import locate, rewrite
from kdb.sources.titles import clean_title

if TYPE_CHECKING:
    import polars as pl


@dataclass
class _Entry:
    title: str = ""
    category: list[list[str]] | None = None


def read_items(files: Sequence[Path], log: Log, config: ImportConfig, rejects: Rejects) -> pl.DataFrame:
    """For every item of the log its `json`, as in a session record, and whether it is `titled`.

    Titles come from the catalogue, without one from the log itself where --columns names its title, and where those
    have none from `config.titles`.
    """
    import polars as pl

    columns, itself = config.log.columns, not config.log.catalogue
    titles = read_titles(config.titles, rejects) if config.titles else {}
    catalogue = Catalogue(log.items(), titles, None if itself else rejects)
    if itself and not columns.named.get("title"):
        return catalogue.items()
    lacking = {role for role in ("title", "category") if columns.named.get(role)}
    tables = find_files(config.log.catalogue or files)
    for path in tables:
        header = columns.header if itself or columns.named.get("product", "").isdecimal() else ()
        table = open_table(path, columns.separator, columns.quoted, header)
        if not table.header:
            console.warn(f"{path}: empty")
            continue
        lacking = {role for role in lacking if not columns.find(role, table.header)}
        with whole(path):
            try:
                catalogue.read(table, columns)
            except pl.exceptions.PolarsError as error:
                if table.form == "parquet":
                    raise KdbError(f"{path}: {str(error).splitlines()[0]}") from None
                table, _ = rewrite(table, log.folder, catalogue.rejects or Rejects(Path(os.devnull)))
                catalogue.read(table, columns)
    if lacking:
        role = max(lacking)
        raise KdbError(f"{tables[0]}: no column {columns.named[role]!r} for the {role}", f"--columns {role}=NAME")
    return catalogue.items()


class Catalogue:
    """What catalogues say of the items `wanted`; the first title that an item is given counts.

    A row without an id, of an item that has another title already, or with a category that cannot be read goes to
    `rejects`, if there are any: a log that holds its own titles has told of its faulty rows already.
    """

    def __init__(self, wanted: pl.Series, titles: Mapping[str, str], rejects: Rejects | None) -> None:
        self.wanted = wanted
        self.titles = titles
        self.rejects = rejects
        self._entries: dict[str, _Entry] = {}

    def read(self, table: TableFile, columns: Columns) -> None:
        """Take in one file; KdbError where it names neither titles nor categories."""
        import polars as pl

        named = {role: columns.find(role, table.header) for role in ("product", "title", "category")}
        if named["product"] is None or not (named["title"] or named["category"]):
            lacks = "item id" if named["product"] is None else "title or category"
            hint = f"--columns product=...,title=...,category=...; it has {', '.join(table.header) or 'none'}"
            raise KdbError(f"{table.path}:1: no column for the {lacks}", hint)
        wanted = {role: name for role, name in named.items() if name}
        frame = table.scan(list(dict.fromkeys(wanted.values())))
        kinds = frame.collect_schema()
        picked = frame.select(
            ROW,
            EXTRA,
            item=identity(wanted["product"], kinds[wanted["product"]]),
            title=_text(wanted.get("title"), kinds),
            category=_text(wanted.get("category"), kinds),
        )
        known = pl.col("item").is_in(self.wanted.implode())
        rows = picked.filter(known | pl.col("item").is_null() | pl.col(EXTRA)).collect()
        labels = (named["category"] or "").endswith(":token_seq")
        for row, extra, item, title, category in rows.iter_rows():
            if extra or item is None:
                self._reject(table, row, "more fields than the header" if extra else "item: missing")
            else:
                self._add(table, row, item, title or "", category or "", labels)

    def _add(self, table: TableFile, row: int, item: str, title: str, category: str, labels: bool) -> None:
        entry = self._entries.setdefault(item, _Entry())
        title = clean_title(title)
        if title and entry.title not in ("", title):
            self._reject(table, row, f"title: item {item!r} has another one already, {entry.title!r}")
            return
        try:
            paths = [[name] for name in category.split()] if labels else _paths(category)
        except ValueError as error:
            self._reject(table, row, f"category: {error}")
            return
        entry.title = entry.title or title
        entry.category = entry.category or paths

    def _reject(self, table: TableFile, row: int, wrong: str) -> None:
        if self.rejects:
            place, text, _ = next(locate(table, [row]))
            self.rejects.add(place, wrong, text)

    def items(self) -> pl.DataFrame:
        """For every item wanted its `index`, its `json`, as in a session record, and whether it is `titled`."""
        import polars as pl

        rows, nothing = list[tuple[str, str, bool]](), _Entry()
        for item in self.wanted.to_list():
            entry = self._entries.get(item, nothing)
            title = entry.title or self.titles.get(item, "")
            json = msgspec.json.encode(Item(item, title, entry.category or [])).decode()
            rows.append((item, json, bool(title)))
        frame = pl.DataFrame(rows, {"item": pl.String, "json": pl.String, "titled": pl.Boolean}, orient="row")
        return frame.with_columns(index=pl.int_range(pl.len(), dtype=pl.Int64))


def _text(name: str | None, kinds: Mapping[str, pl.DataType]) -> pl.Expr:
    """A column as text; a nested one of Parquet as JSON."""
    import polars as pl

    if name is None:
        return pl.lit(None, pl.String)
    if kinds[name].is_nested():
        wrapped = pl.struct(value=pl.col(name)).struct.json_encode()
        return pl.when(pl.col(name).is_not_null()).then(wrapped.str.strip_prefix('{"value":').str.strip_suffix("}"))
    return pl.col(name).cast(pl.String)


_paths = lru_cache(maxsize=1 << 16)(categories.parse)
