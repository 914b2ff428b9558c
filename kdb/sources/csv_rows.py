"""CSV files read row by row, with errors that name the line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from kdb.errors import KdbError
from kdb.io.stream import Rejects

LONGEST_FIELD = 2**31 - 1  # the csv module stops at 131,072 characters unless told otherwise


def rows(path: Path, columns: Sequence[str], rejects: Rejects) -> Iterator[tuple[str, list[str]]]:
    """The values of `columns` in each row of a UTF-8 file with a header, with the row's place (`file:line`).

    A file that cannot be read or lacks a column raises KdbError; a row that does not fit goes to `rejects`.
    """
    csv.field_size_limit(LONGEST_FIELD)
    try:
        file = path.open("rb")
    except OSError as error:
        raise KdbError(f"{path}: {error.strerror}") from None
    with file:
        lines = _Lines(path, file, rejects)
        reader = csv.reader(lines, strict=True)
        header, wanted = _header(path, reader, columns)
        while True:
            place = f"{path}:{lines.number + 1}"
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                rejects.add(place, f"not CSV: {error}", "")
                continue
            if row and len(row) != len(header):
                rejects.add(place, f"{len(row)} fields where the header has {len(header)}", ",".join(row))
            elif row:
                yield place, [row[n] for n in wanted]


class _Lines:
    """The decoded lines of a file; `number` is that of the last one."""

    def __init__(self, path: Path, file: BinaryIO, rejects: Rejects) -> None:
        self.path, self.file, self.rejects = path, file, rejects
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for line in self.file:
            self.number += 1
            try:
                # Spreadsheets put a byte order mark before the header.
                yield line.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError:
                bad = line.decode(errors="replace").rstrip("\n")
                self.rejects.add(f"{self.path}:{self.number}", "not valid UTF-8", bad)


def _header(path: Path, reader: Iterator[list[str]], columns: Sequence[str]) -> tuple[list[str], list[int]]:
    """The first row, and where in it the wanted columns are."""
    expected = f"expected the columns {', '.join(columns)}"
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise KdbError(f"{path}:1: not CSV: {error}", expected) from None
    if not header:
        raise KdbError(f"{path}:1: empty", expected)
    missing = next((name for name in columns if name not in header), None)
    if missing:
        raise KdbError(f"{path}:1: no column {missing!r}", expected)
    return header, [header.index(name) for name in columns]
