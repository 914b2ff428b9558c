"""CSV files read row by row, with errors that name the line, and rows as they are written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from kdb.errors import KdbError
from kdb.io.stream import Rejects
from kdb.sources.events.table_file import open_table
from kdb.sources.events.text_records import records

Row = tuple[str, str, list[str]]
"""The place of a row (`file:line`), its text, and the values of the wanted columns."""


def rows(path: Path, columns: Sequence[str], rejects: Rejects, optional: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a UTF-8 file with a header, in which case does not matter; `optional` columns may lack ("").

    A file that cannot be read or lacks a column raises KdbError; a row that does not fit goes to `rejects`, and
    one without any value is skipped.
    """
    table = open_table(path)
    expected = f"expected the columns {', '.join(columns)}"
    if table.form != "text" or not table.header:
        raise KdbError(f"{path}:1: {'empty' if table.form == 'text' else 'not CSV'}", expected)
    header = [name.strip().lower() for name in table.header]
    if missing := [name for name in columns if name.lower() not in header]:
        raise KdbError(f"{path}:1: no column {missing[0]!r}", expected)
    wanted = [name.lower() for name in (*columns, *optional)]
    places = [header.index(name) if name in header else None for name in wanted]
    for record in records(table):
        place = f"{path}:{record.line}"
        if record.fault:
            rejects.add(place, record.fault, record.text)
        elif not any(map(str.strip, record.fields)):
            continue
        elif len(record.fields) != len(header):
            count = f"{len(record.fields)} fields where the header has {len(header)}"
            rejects.add(place, count, record.text)
        else:
            yield place, record.text, ["" if n is None else record.fields[n] for n in places]


def csv_row(values: Sequence[object]) -> bytes:
    """The values as a row of CSV, without its line end."""
    row = io.StringIO()
    csv.writer(row).writerow(values)  # with its own line end, for else it puts no quotes around line breaks
    return row.getvalue().removesuffix("\r\n").encode()
