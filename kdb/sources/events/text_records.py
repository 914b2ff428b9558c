"""Text files read again, slowly and exactly: on which line a row stands, and what Polars cannot read."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from kdb.io.stream import Rejects
from kdb.sources.events.table_file import TableFile, opened, parse_row

LONGEST_RECORD = 64  # lines: a quote that is still open then is taken for one that never closes
OPEN = "a quote is not closed"


class TextRecord(NamedTuple):
    """A row: the line it begins on, its text, its fields (none in JSON), and why it cannot be read, else ""."""

    line: int
    text: str
    fields: Sequence[str]
    fault: str


def records(table: TableFile) -> Iterator[TextRecord]:
    """Each row after the header.

    Blank lines of CSV count as rows, those of JSON lines do not, which is how Polars numbers them.
    """
    with opened(table.path) as file:
        lines = enumerate(io.BufferedReader(file), 1)  # type: ignore[type-var]
        found = _json_records(lines) if table.form == "jsonl" else _csv_records(lines, table)
        if table.form == "text" and table.headed:
            next(found, None)
        yield from found


def rewrite(table: TableFile, folder: Path, rejects: Rejects) -> tuple[TableFile, Counter[str]]:
    """A copy that Polars can read, in `folder`, and how many rows were put aside for which fault."""
    copy = folder / f"{table.path.name}.rewritten"
    lost: Counter[str] = Counter()
    with copy.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if table.form == "text" and table.headed:
            writer.writerow(table.header)
        for record in records(table):
            if record.fault:
                rejects.add(f"{table.path}:{record.line}", record.fault, record.text)
                lost[record.fault] += 1
            elif table.form == "jsonl":
                file.write(f"{record.text}\n")
            else:
                writer.writerow(record.fields or [""])
    rewritten = replace(table, path=copy, original=table)
    return rewritten if table.form == "jsonl" else replace(rewritten, separator=",", quoted=True), lost


def locate(table: TableFile, rows: Sequence[int]) -> Iterator[tuple[str, str, str]]:
    """Where each of the `rows` (in order) stands (`file:line`), its text, and whether its fields fit the header."""
    original = table.original or table
    remaining = iter(rows)
    row = next(remaining, None)
    if table.form != "parquet":
        readable = (record for record in records(original) if not (table.original and record.fault))
        for index, record in enumerate(readable):
            if index == row:
                odd = table.form == "text" and not record.fault and len(record.fields) != len(table.header)
                count = f"{len(record.fields)} fields where the header has {len(table.header)}" if odd else ""
                yield f"{original.path}:{record.line}", record.text, count
                row = next(remaining, None)
            if row is None:
                return
    while row is not None:
        yield f"{original.path}: row {row + 1}", "", ""
        row = next(remaining, None)


def _csv_records(lines: Iterable[tuple[int, bytes]], table: TableFile) -> Iterator[TextRecord]:
    source = iter(lines)
    held: list[tuple[int, bytes]] = []
    again: list[tuple[int, bytes]] = []
    while True:
        line = again.pop(0) if again else next(source, None)
        if line is None and not held:
            return
        if line is not None:
            held.append(line)
        record = _csv_record(held[0][0], b"".join(part for _, part in held), table)
        if record.fault == OPEN and line is not None and len(held) < LONGEST_RECORD:
            continue
        if record.fault and held[1:]:  # only the line with the quote is lost, those after it are read by themselves
            again = held[1:] + again
            record = record._replace(text=_decoded(held[0][1])[0].rstrip("\r\n"))
        held = []
        yield record


def _csv_record(line: int, data: bytes, table: TableFile) -> TextRecord:
    text, valid = _decoded(data)
    plain = text.rstrip("\r\n")
    if not valid:
        return TextRecord(line, plain, (), "not valid UTF-8")
    try:
        return TextRecord(line, plain, parse_row(text, table.separator, table.quoted), "")
    except csv.Error as error:
        return TextRecord(line, plain, (), OPEN if "unexpected end of data" in str(error) else f"not CSV: {error}")


def _json_records(lines: Iterable[tuple[int, bytes]]) -> Iterator[TextRecord]:
    for number, line in lines:
        text, valid = _decoded(line)
        text = text.strip()
        if not text:
            continue
        fault = "" if valid else "not valid UTF-8"
        try:
            msgspec.json.decode(text, type=dict)
        except (ValueError, RecursionError) as error:
            fault = fault or f"not a JSON object: {error}"
        yield TextRecord(number, text, (), fault)


def _decoded(data: bytes) -> tuple[str, bool]:
    try:
        return data.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        return data.decode(errors="replace"), False
