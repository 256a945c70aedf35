"""From a file to raw columns: the format is told by the first bytes, never by the name; nothing is interpreted yet."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from elec2water.findings import Findings
from elec2water.tables import workbook

if TYPE_CHECKING:
    from elec2water.tables.context import Context

HEADER_ROWS = 30
"""Rows searched for the headings; forms carry titles and notes above them."""

HeadingCount = Callable[[Sequence[str]], int]
"""Given the cells of a row, how many are headings of the table; 0 if it cannot be the row of headings."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """Columns as they stand in the file.

    Attributes
    ----------
    headings : tuple of str
        As written.
    columns : tuple of pyarrow.Array
        Text (CSV, xlsx) or typed (Parquet), all of length n.
    rows : numpy.ndarray
        (n,) row numbers in the file: 1 is the first line.
    findings : Findings
        What was noticed on the way.
    """

    headings: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    rows: npt.NDArray[np.int64]
    findings: Findings = field(default_factory=Findings.empty)


def read_raw(path: Path, sheet: str | None, context: Context, count_headings: HeadingCount) -> RawTable:
    """Read one file.

    Parameters
    ----------
    path : pathlib.Path
        CSV (UTF-8, GB18030 or UTF-16 with a byte order mark; comma, tab or semicolon), xlsx, xls or Parquet.
    sheet : str or None
        Name of the sheet of a workbook; ``None`` takes the only one with known headings.
    context : Context
        For the findings.
    count_headings : callable
        Recognises the row of headings.

    Raises
    ------
    DataRefusedError
        If the file cannot be read safely or completely; it holds the finding that says why.
    """
    if not path.exists():
        raise context.refuse("MISSING_FILE", limit=str(path))
    if not stat.S_ISREG(path.stat().st_mode):
        raise context.refuse("NOT_A_FILE", observed=str(path))
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not head:
        raise context.refuse("NO_ROWS", observed="0 B")
    if head.startswith(b"PAR1"):
        return _read_parquet(path, context)
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return _from_sheet(workbook.read_sheet(path, sheet, context, count_headings), context)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<html", b"<!doctype", b"<table", b"<?xml", b"<meta", b"<head")):
        raise context.refuse("FILE_FORMAT", observed="HTML/XML")
    return _read_text(path.read_bytes(), context, count_headings)


def _read_parquet(path: Path, context: Context) -> RawTable:
    """Read column by column, text as dictionary codes at once: the plain text of one column only is held in memory."""
    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = tuple(file.schema_arrow.names)
        odd = [field.name for field in file.schema_arrow if _holds_no_cells(field.type)]
        size = file.metadata.num_rows
        blank = pa.nulls(size, pa.string())
        columns = tuple(blank if name in odd else _coded(file.read(columns=[name]).column(0)) for name in names)
    except (pa.ArrowException, OSError) as error:
        raise context.refuse("FILE_BROKEN", observed=_one_line(error)) from error
    if size == 0:
        raise context.refuse("NO_ROWS", observed=0)
    return RawTable(names, columns, np.arange(2, size + 2), context.finding("COLUMN_TYPE", observed=odd))


def _holds_no_cells(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _coded(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.dictionary_encode()
    return _combined(column)


def _combined(column: pa.ChunkedArray) -> pa.Array:
    merged = column.combine_chunks()
    if not isinstance(merged, pa.ChunkedArray):
        return merged
    return merged.chunk(0) if merged.num_chunks else pa.array([], type=column.type)


def _from_sheet(sheet: workbook.Sheet, context: Context) -> RawTable:
    records = sheet.records
    body = records[sheet.header + 1 :]
    if not body:
        raise context.refuse("NO_ROWS", observed=sheet.name)
    headings = tuple(records[sheet.header])
    columns = tuple(pa.array(column, type=pa.string()) for column in zip(*body, strict=True))
    rows = np.arange(sheet.header + 2, sheet.header + 2 + len(body))
    return RawTable(headings, columns, rows, sheet.findings)


def _read_text(data: bytes, context: Context, count_headings: HeadingCount) -> RawTable:
    text, found = _decoded(data, context)
    text = text.rstrip("\r\n\x1a")
    header = _find_header(text, count_headings)
    if header is None:
        first = text.splitlines()[0] if text else ""
        raise context.refuse("HEADER_NOT_FOUND", observed=first[:80])
    if header.index:
        found += context.finding("ROWS_ABOVE_HEADER", observed=header.index)
    try:
        columns = _fast_csv(text, header)
        wide = Findings.empty()
    except pa.ArrowInvalid:
        columns, wide = _careful_csv(text, header, context)
    size = len(columns[0])
    if size == 0:
        raise context.refuse("NO_ROWS", observed=0)
    return RawTable(header.cells, columns, np.arange(header.index + 2, header.index + 2 + size), found + wide)


def _decoded(data: bytes, context: Context) -> tuple[str, Findings]:
    """Climb the ladder: byte order mark, strict UTF-8, strict GB18030; a detector would call GBK Korean."""
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16"), context.finding("ENCODING_NORMALISED", observed="UTF-16")
        if b"\x00" in data:
            raise context.refuse("ENCODING", observed="NUL", row=data.count(b"\n", 0, data.index(b"\x00")) + 1)
        return data.decode("utf-8-sig"), Findings.empty()
    except UnicodeDecodeError as error:
        if error.encoding.startswith("utf-8") and error.start < len(data) - 3:
            return _decoded_gb18030(data, context)
        if not error.encoding.startswith("utf-8"):
            raise context.refuse("ENCODING", observed="UTF-16") from error
        return _decoded_gb18030(data, context)


def _decoded_gb18030(data: bytes, context: Context) -> tuple[str, Findings]:
    try:
        return data.decode("gb18030"), context.finding("ENCODING_NORMALISED", observed="GB18030")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise context.refuse("ENCODING", observed=data[error.start : error.start + 4].hex(" "), row=row) from error


@dataclass(frozen=True, slots=True)
class _Header:
    cells: tuple[str, ...]
    index: int
    lines: int
    delimiter: str


def _find_header(text: str, count_headings: HeadingCount) -> _Header | None:
    head = text[:200_000]
    best: tuple[int, _Header] | None = None
    for delimiter in (",", "\t", ";"):
        reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
        try:
            for index, cells in enumerate(islice(reader, HEADER_ROWS)):
                count = count_headings(cells)
                if count and (best is None or count > best[0]):
                    best = (count, _Header(tuple(cells), index, reader.line_num, delimiter))
        except csv.Error:
            continue
    return best[1] if best else None


def _fast_csv(text: str, header: _Header) -> tuple[pa.Array, ...]:
    names = [f"c{i}" for i in range(len(header.cells))]
    if text.count("\n") + 1 <= header.lines:
        return tuple(pa.array([], type=pa.string()) for _ in names)
    table = pyarrow.csv.read_csv(
        pa.BufferReader(text.encode("utf-8")),
        read_options=pyarrow.csv.ReadOptions(skip_rows=header.lines, column_names=names),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=header.delimiter, newlines_in_values='"' in text, ignore_empty_lines=False
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )
    return tuple(_combined(column) for column in table.columns)


def _careful_csv(text: str, header: _Header, context: Context) -> tuple[tuple[pa.Array, ...], Findings]:
    """Read records of unequal length: short ones (notes, blank lines) are filled up, long ones are refused."""
    width = len(header.cells)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=header.delimiter, strict=True)
    try:
        records = list(reader)[header.index + 1 :]
    except csv.Error as error:
        raise context.refuse("FILE_BROKEN", observed=_one_line(error), row=reader.line_num) from error
    long = [i for i, cells in enumerate(records) if any(cell.strip() for cell in cells[width:])]
    wide = context.finding(
        "ROW_TOO_WIDE",
        row=[header.index + 2 + i for i in long],
        observed=[len(records[i]) for i in long],
        limit=width,
    )
    padded = [(cells + [""] * width)[:width] for cells in records]
    columns = zip(*padded, strict=True) if padded else ([] for _ in range(width))
    return tuple(pa.array(list(column), type=pa.string()) for column in columns), wide


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
