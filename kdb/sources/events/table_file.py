"""A file of rows, whatever its form: CSV and the like, JSON lines or Parquet, the first two also gzipped.

Every column is read as text; Polars does the reading.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, cast

import msgspec

from kdb.errors import KdbError
from kdb.io.files import os_errors

if TYPE_CHECKING:
    import polars as pl

ROW, EXTRA = "_row", "_extra"
SAMPLE = 1 << 18  # bytes, to see what a file is
SEPARATORS = ",\t;|"


@dataclass(frozen=True)
class TableFile:
    """A file and how it is written; `header` is empty where it has no rows."""

    path: Path
    form: Literal["text", "jsonl", "parquet"]
    header: tuple[str, ...]
    separator: str = ","
    quoted: bool = True
    headed: bool = True
    original: TableFile | None = None
    """What this is a rewritten copy of: messages are about that one."""

    def scan(self, wanted: Collection[str]) -> pl.LazyFrame:
        """The wanted columns as text, with the number of the row, and whether it has more fields than the header.

        Columns of Parquet keep their types.
        """
        import polars as pl

        if self.form == "parquet":
            frame = pl.scan_parquet(self.path, row_index_name=ROW)
        elif self.form == "jsonl":
            frame = pl.scan_ndjson(self.path, schema=dict.fromkeys(wanted, pl.String), row_index_name=ROW)
        else:
            names = [f"{n}" for n in range(len(self.header))]
            frame = pl.scan_csv(
                self.path,
                has_header=False,
                skip_rows=int(self.headed),
                separator=self.separator,
                quote_char='"' if self.quoted else None,
                schema=dict.fromkeys([*names, EXTRA], pl.String),
                truncate_ragged_lines=True,
                missing_columns="insert",
                row_index_name=ROW,
            ).rename(dict(zip(names, self.header, strict=True)))
        extra = pl.col(EXTRA).is_not_null() if self.form == "text" else pl.lit(False)
        return frame.select(*wanted, pl.col(ROW).cast(pl.Int64), extra.alias(EXTRA))


def open_table(path: Path, separator: str = "", quoted: bool = True, header: Sequence[str] = ()) -> TableFile:
    """What the file is, by its first bytes; `header` for one without a header line.

    KdbError where it cannot be read, is in another encoding than UTF-8, or is no table.
    """
    if _head(path, 4, raw=True) == b"PAR1":
        return _parquet(path)
    sample = _head(path, SAMPLE)
    even, odd = sample[:1024:2].count(0), sample[1:1024:2].count(0)
    if sample[:2] in (b"\xff\xfe", b"\xfe\xff") or (even != odd and 3 * max(even, odd) > len(sample[:1024])):
        order = "LE" if odd > even else "BE"
        raise KdbError(f"{path}:1: UTF-16, expected UTF-8", f"iconv -f UTF-16{order} -t UTF-8 {path.name}")
    if 8 * sample[:1024].count(0) > len(sample[:1024]):
        raise KdbError(f"{path}:1: neither text nor Parquet")
    text = sample.decode("utf-8-sig", errors="replace")
    start = text.lstrip()[:1]
    if start == "{":
        return TableFile(path, "jsonl", _keys(text))
    if start == "[":
        raise KdbError(f"{path}:1: a JSON array, expected an object on each line", "jq -c '.[]' FILE")
    return _text(path, text, separator, quoted, header) if start else TableFile(path, "text", ())


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files, and those in the folders among `paths`, in the order of their names; KdbError where none is there.

    Names that begin with a dot or an underscore are left out: Spark and others leave such files beside their parts.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            parts = sorted(p for p in path.rglob("*") if p.is_file() and p.name[0] not in "._")
            if not parts:
                raise KdbError(f"{path}: no file in this folder")
            found += parts
        elif path.exists():
            found.append(path)
        else:
            raise KdbError(f"{path}: No such file or directory")
    return found


def opened(path: Path, raw: bool = False) -> IO[bytes]:
    """The file to read, unzipped unless `raw`."""
    with os_errors(path):
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        return cast(IO[bytes], gzip.open(path)) if zipped and not raw else path.open("rb")


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """KdbError where the file ends within its compressed data, or cannot be read further."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        message = getattr(error, "strerror", None) or error
        raise KdbError(f"{path}: {message}", f"is it whole (gzip -t {path.name}), and is $TMPDIR full?") from None


def parse_row(text: str, separator: str, quoted: bool) -> list[str]:
    """The fields of the first row of `text`; csv.Error where it is none, or not whole."""
    if not quoted:
        return text.splitlines()[0].split(separator) if text.strip("\r\n") else []
    plain = text.rstrip("\r\n")
    if plain and not any(mark in plain for mark in '"\r\n'):  # most rows; several times as fast as below
        return plain.split(separator)
    csv.field_size_limit(2**31 - 1)  # the csv module stops at 131,072 characters unless told otherwise
    return next(csv.reader(io.StringIO(text), delimiter=separator, strict=True), [])


def _text(path: Path, text: str, separator: str, quoted: bool, header: Sequence[str]) -> TableFile:
    first = text.splitlines()[0]
    if not first.strip():
        raise KdbError(f"{path}:1: blank, expected a header")
    separator = separator or max(SEPARATORS, key=first.count)
    try:
        names = parse_row(text, separator, quoted)
    except csv.Error as error:
        raise KdbError(f"{path}:1: not CSV: {error}") from None
    if header:
        names = [*header[: len(names)], *map(str, range(len(header) + 1, len(names) + 1))]
        return TableFile(path, "text", tuple(names), separator, quoted, headed=False)
    again = next((name for n, name in enumerate(names) if name in names[:n]), None)
    if again is not None:
        raise KdbError(f"{path}:1: two columns are named {again!r}")
    return TableFile(path, "text", tuple(names), separator, quoted)


def _head(path: Path, size: int, raw: bool = False) -> bytes:
    with opened(path, raw) as file:
        try:
            head = file.read(size)
            return head if raw or b"\n" in head else head + file.readline()
        except (OSError, EOFError, zlib.error) as error:
            raise KdbError(f"{path}: not a whole gzip file: {error}") from None


def _keys(text: str) -> tuple[str, ...]:
    """The keys of the objects in a sample, in the order in which they come first."""
    found: dict[str, None] = {}
    for line in text.splitlines():
        try:
            found.update(dict.fromkeys(msgspec.json.decode(line.encode("utf-8", "replace"), type=dict)))
        except (msgspec.DecodeError, RecursionError):
            continue
    return tuple(found)


def _parquet(path: Path) -> TableFile:
    import polars as pl

    try:
        return TableFile(path, "parquet", tuple(pl.read_parquet_schema(path)))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise KdbError(f"{path}: not a Parquet file: {str(error).splitlines()[0]}") from None
