"""A file of rows, whatever its form: CSV and the like, JSON lines or Parquet, the first two also gzipped.

Every column is read as text; Polars does the reading. `records` reads a text file again, slowly and exactly, to say
on which line a row stands, or to go on where Polars gives up.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, cast

import msgspec

from kdb.errors import KdbError

if TYPE_CHECKING:
    import polars as pl

ROW, EXTRA = "_row", "_extra"
SAMPLE = 1 << 18  # bytes, to see what a file is
LONGEST_RECORD = 64  # lines: a quote that is still open then is taken for one that never closes
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

    def records(self) -> Iterator[tuple[int, str, list[str] | None, str]]:
        """Each row after the header: the line it begins on, its text, its fields, and what is wrong with it.

        The fields are None where the row cannot be read. Blank lines of CSV count as rows, those of JSON lines do
        not, which is how Polars numbers them.
        """
        with _opened(self.path) as file:
            lines = enumerate(io.BufferedReader(cast(io.RawIOBase, file)), 1)
            yield from _json_records(lines) if self.form == "jsonl" else self._text_records(lines)

    def _text_records(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, str, list[str] | None, str]]:
        csv.field_size_limit(2**31 - 1)
        header = self.headed
        open_lines: list[tuple[int, bytes]] = []
        again: list[tuple[int, bytes]] = []
        source = iter(lines)
        while True:
            line = again.pop(0) if again else next(source, None)
            if line is None and not open_lines:
                return
            if line is not None:
                open_lines.append(line)
            text, fields, wrong = self._fields([part for _, part in open_lines])
            if wrong == OPEN and line is not None and len(open_lines) < LONGEST_RECORD:
                continue
            if wrong == OPEN:  # only the line with the quote is lost, those after it are read by themselves
                again, open_lines = open_lines[1:] + again, open_lines[:1]
                text = _decoded(open_lines[0][1])[0]
            number, open_lines = open_lines[0][0], []
            if header:
                header = False
            else:
                yield number, text, fields, wrong

    def _fields(self, lines: list[bytes]) -> tuple[str, list[str] | None, str]:
        text, valid = _decoded(b"".join(lines))
        if not valid:
            return text, None, "not valid UTF-8"
        quoting = csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE
        try:
            rows = csv.reader([text], delimiter=self.separator, quoting=quoting, strict=True)
            return text.rstrip("\r\n"), next(rows, []), ""
        except csv.Error as error:
            end = "unexpected end of data" in str(error)
            return text.rstrip("\r\n"), None, OPEN if end else f"not CSV: {error}"


OPEN = "a quote is not closed"


def open_table(path: Path, separator: str = "", quoted: bool = True, header: Sequence[str] = ()) -> TableFile:
    """What the file is, by its first bytes; `header` for one without a header line.

    KdbError where it cannot be read, is in another encoding than UTF-8, or is no table.
    """
    if _head(path, 4, raw=True) == b"PAR1":
        return _parquet(path)
    sample = _head(path, SAMPLE)
    if sample[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise KdbError(f"{path}:1: UTF-16, expected UTF-8", f"iconv -f UTF-16 -t UTF-8 {path.name}")
    if b"\0" in sample[:1024]:
        raise KdbError(f"{path}: neither text nor Parquet")
    text = sample.decode("utf-8-sig", errors="replace")
    start = text.lstrip()[:1]
    if start == "{":
        return TableFile(path, "jsonl", _keys(text))
    if start == "[":
        raise KdbError(f"{path}:1: a JSON array, expected an object on each line", "jq -c '.[]' FILE")
    if not start:
        return TableFile(path, "text", ())
    first = text.splitlines()[0]
    if not first.strip():
        raise KdbError(f"{path}:1: blank, expected a header")
    separator = separator or max(SEPARATORS, key=first.count)
    names = _first_row(path, text, separator, quoted)
    if header:
        return TableFile(
            path, "text", (*header, *map(str, range(len(header), len(names)))), separator, quoted, False
        )
    again = next((name for n, name in enumerate(names) if name in names[:n]), None)
    if again is not None:
        raise KdbError(f"{path}:1: two columns are named {again!r}")
    return TableFile(path, "text", tuple(names), separator, quoted)


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


def rewrite(table: TableFile, folder: Path, bad: Callable[[int, str, str], None]) -> TableFile:
    """A copy of a text file that Polars can read, in `folder`, without the rows that cannot be read.

    Those are given to `bad`: the line, what is wrong, the text.
    """
    copy = folder / f"{table.path.name}.rewritten"
    with copy.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if table.form == "text" and table.headed:
            writer.writerow(table.header)
        for number, text, fields, wrong in table.records():
            if fields is None:
                bad(number, wrong, text)
            elif table.form == "jsonl":
                file.write(f"{text}\n")
            else:
                writer.writerow(fields or [""])
    rewritten = replace(table, path=copy)
    return rewritten if table.form == "jsonl" else replace(rewritten, separator=",", quoted=True)


def locate(table: TableFile, rows: Sequence[int], rewritten: bool) -> Iterator[tuple[str, str, str]]:
    """Where each of the `rows` (in order) stands (`file:line`), its text, and whether its fields fit the header.

    `rewritten`: the rows are those of a copy by `rewrite`, so that those that cannot be read do not count.
    """
    if table.form == "parquet":
        yield from ((f"{table.path}: row {row + 1}", "", "") for row in rows)
        return
    readable = (record for record in table.records() if record[2] is not None or not rewritten)
    wanted = iter(rows)
    row = next(wanted, None)
    for index, (number, text, fields, _) in enumerate(readable):
        if index == row:
            odd = table.form == "text" and fields is not None and len(fields) != len(table.header)
            count = f"{len(fields or [])} fields where the header has {len(table.header)}" if odd else ""
            yield f"{table.path}:{number}", text, count
            row = next(wanted, None)
        if row is None:
            return
    while row is not None:  # counted otherwise than Polars did, which no file is known to show
        yield f"{table.path}: row {row + 1}", "", ""
        row = next(wanted, None)


def _json_records(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, str, list[str] | None, str]]:
    for number, line in lines:
        text, valid = _decoded(line)
        text = text.strip()
        if not text:
            continue
        try:
            if not valid:
                raise ValueError("not valid UTF-8")
            msgspec.json.decode(text, type=dict)
        except (ValueError, RecursionError) as error:
            yield number, text, None, str(error) or "nested too deeply"
        else:
            yield number, text, [], ""


def _decoded(data: bytes) -> tuple[str, bool]:
    try:
        return data.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        return data.decode(errors="replace"), False


def _opened(path: Path, raw: bool = False) -> IO[bytes]:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        return cast(IO[bytes], gzip.open(path)) if zipped and not raw else path.open("rb")
    except OSError as error:
        raise KdbError(f"{path}: {error.strerror}") from None


def _head(path: Path, size: int, raw: bool = False) -> bytes:
    with _opened(path, raw) as file:
        try:
            head = file.read(size)
            return head if raw or b"\n" in head else head + file.readline()
        except (OSError, EOFError, zlib.error) as error:
            raise KdbError(f"{path}: not a whole gzip file: {error}") from None


def _first_row(path: Path, text: str, separator: str, quoted: bool) -> list[str]:
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    try:
        return next(csv.reader(io.StringIO(text), delimiter=separator, quoting=quoting, strict=True))
    except csv.Error as error:
        raise KdbError(f"{path}:1: not CSV: {error}") from None


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
