"""From delimited text to raw columns: the encoding by a ladder, the headings by what they mean, the body by columns."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv

from elec2water.findings import Findings
from elec2water.tables.layout import HEADER_ROWS, MAX_HEIGHT, Layout
from elec2water.tables.raw import RawTable, Recognise, rows_above

if TYPE_CHECKING:
    from elec2water.tables.context import Context

IsNumeric = Callable[[str], bool]
"""Whether the column of a heading holds plain numbers."""

_CHUNK = 1 << 24
_HEAD_BYTES = 400_000
_BOMS = (b"\xff\xfe", b"\xfe\xff")
_BAD_COLUMN = re.compile(r"[Cc]olumn #(\d+)")


def read_text(data: bytes, context: Context, recognise: Recognise, is_numeric: IsNumeric) -> RawTable:
    """Read comma-, tab- or semicolon-separated text.

    Parameters
    ----------
    data : bytes
        UTF-8, GB18030, or UTF-16 with a byte order mark.
    context : Context
        For the findings.
    recognise : callable
        Finds the headings.
    is_numeric : callable
        Which columns to try as numbers at once; one that holds anything else is read as text.

    Raises
    ------
    DataRefusedError
        If the text cannot be decoded, has no headings, or its records do not fit them.
    """
    content, found = as_utf8(data, context)
    content = content.rstrip(b"\r\n\x1a")
    header = _find_header(content, recognise)
    if header is None:
        first = content.split(b"\n", 1)[0].decode("utf-8", "replace")
        raise context.refuse("HEADER_NOT_FOUND", observed=first.strip()[:80])
    try:
        headings, columns = header.layout.headings, _fast(content, header, is_numeric)
        wide = Findings.empty()
    except pa.ArrowInvalid:
        headings, columns, wide = _careful(content, header, context)
    size = len(columns[0])
    if size == 0:
        raise context.refuse("NO_ROWS", observed=0)
    rows = np.arange(header.layout.body + 1, header.layout.body + 1 + size)
    return RawTable(
        headings,
        columns,
        rows,
        found + wide + rows_above(header.layout, context),
        header.layout.above,
        header.layout.words,
    )


def as_utf8(data: bytes, context: Context) -> tuple[bytes, Findings]:
    """Climb the ladder: byte order mark, strict UTF-8, strict GB18030; a detector would call GBK Korean."""
    if data.startswith(_BOMS):
        try:
            return data.decode("utf-16").encode("utf-8"), context.finding("ENCODING_NORMALISED", observed="UTF-16")
        except UnicodeError as error:
            raise context.refuse("ENCODING", observed="UTF-16") from error
    if b"\x00" in data:
        raise context.refuse("ENCODING", observed="NUL", row=data.count(b"\n", 0, data.index(b"\x00")) + 1)
    data = data.removeprefix(codecs.BOM_UTF8)
    if data.isascii() or _is_utf8(data):
        return data, Findings.empty()
    return _from_gb18030(data, context), context.finding("ENCODING_NORMALISED", observed="GB18030")


def _is_utf8(data: bytes) -> bool:
    """Decode piece by piece, for the text of a large file is not needed."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    try:
        for start in range(0, len(data), _CHUNK):
            decoder.decode(view[start : start + _CHUNK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _from_gb18030(data: bytes, context: Context) -> bytes:
    decoder = codecs.getincrementaldecoder("gb18030")()
    view, parts = memoryview(data), []
    try:
        for at in range(0, len(data), _CHUNK):
            part = decoder.decode(view[at : at + _CHUNK], final=at + _CHUNK >= len(data))
            parts.append(part.encode("utf-8"))
    except UnicodeError as error:
        start = _first_bad(data)
        row = data.count(b"\n", 0, start) + 1
        raise context.refuse("ENCODING", observed=data[start : start + 4].hex(" "), row=row) from error
    return b"".join(parts)


def _first_bad(data: bytes) -> int:
    try:
        data.decode("gb18030")
    except UnicodeDecodeError as error:
        return error.start
    return len(data)


@dataclass(frozen=True, slots=True)
class _Header:
    layout: Layout
    lines: int
    delimiter: str


def _find_header(content: bytes, recognise: Recognise) -> _Header | None:
    head = content[:_HEAD_BYTES].decode("utf-8", "ignore")
    best: tuple[int, _Header] | None = None
    for delimiter in (",", "\t", ";"):
        rows, lines = _first_records(head, delimiter)
        layout = recognise(rows, ())
        if layout is None:
            continue
        count = sum(bool(name.strip()) for name in layout.headings)
        if best is None or count > best[0]:
            best = (count, _Header(layout, lines[layout.body - 1], delimiter))
    return best[1] if best else None


def _first_records(head: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Give the first records and the line on which each ends."""
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    rows, lines = [], []
    try:
        for cells in islice(reader, HEADER_ROWS + MAX_HEIGHT + 2):
            rows.append(cells)
            lines.append(reader.line_num)
    except csv.Error:
        pass
    return rows, lines


def _fast(content: bytes, header: _Header, is_numeric: IsNumeric) -> tuple[pa.Array, ...]:
    """Read by columns; numbers as numbers where every cell is a plain one."""
    headings = header.layout.headings
    if content.count(b"\n", 0, _HEAD_BYTES) + 1 <= header.lines:
        return tuple(pa.array([], type=pa.string()) for _ in headings)
    plain = {i for i, text in enumerate(headings) if is_numeric(text)}
    while True:
        try:
            table = _parsed(content, header, plain)
        except pa.ArrowInvalid as error:
            column = _BAD_COLUMN.search(str(error))
            if column is None or int(column[1]) not in plain:
                raise
            plain.discard(int(column[1]))
            continue
        odd = {i for i in plain if not _all_finite(table.column(i))}
        if not odd:
            return tuple(combined(column) for column in table.columns)
        plain -= odd


def _parsed(content: bytes, header: _Header, plain: set[int]) -> pa.Table:
    names = [f"c{i}" for i in range(len(header.layout.headings))]
    text = pa.dictionary(pa.int32(), pa.string())
    types = {name: pa.float64() if i in plain else text for i, name in enumerate(names)}
    return pyarrow.csv.read_csv(
        pa.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(skip_rows=header.lines, column_names=names, block_size=1 << 22),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=header.delimiter, newlines_in_values=b'"' in content, ignore_empty_lines=False
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types, strings_can_be_null=False, null_values=[""], check_utf8=False
        ),
    )


def _all_finite(column: pa.ChunkedArray) -> bool:
    """Whether no cell said nan, inf or 1e400: words that a parser of numbers takes and a reader must see."""
    total = pa.compute.sum(column).as_py()
    return total is None or bool(np.isfinite(total)) or bool(pa.compute.all(pa.compute.is_finite(column)).as_py())


def combined(column: pa.ChunkedArray) -> pa.Array:
    """Join the pieces of a column; dictionaries become one."""
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    merged = column.combine_chunks()
    if not isinstance(merged, pa.ChunkedArray):
        return merged
    return merged.chunk(0) if merged.num_chunks else pa.array([], type=column.type)


def _careful(
    content: bytes, header: _Header, context: Context
) -> tuple[tuple[str, ...], tuple[pa.Array, ...], Findings]:
    """Read records of unequal length: short ones (notes, blank lines) are filled up, long ones are refused."""
    headings = header.layout.headings
    width = len(headings)
    reader = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), delimiter=header.delimiter, strict=True)
    try:
        records = list(reader)[header.layout.body :]
    except csv.Error as error:
        raise context.refuse("FILE_BROKEN", observed=_one_line(error), row=reader.line_num) from error
    long = [i for i, cells in enumerate(records) if any(cell.strip() for cell in cells[width:])]
    wide = context.finding(
        "ROW_TOO_WIDE",
        row=[header.layout.body + 1 + i for i in long],
        observed=[len(records[i]) for i in long],
        limit=width,
    )
    padded = [(cells + [""] * width)[:width] for cells in records]
    columns = zip(*padded, strict=True) if padded else ([] for _ in range(width))
    return headings, tuple(pa.array(list(column), type=pa.string()) for column in columns), wide


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
