"""From delimited text to raw columns: the encoding by a ladder, the headings by what they mean, the body by columns."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv

from elec2water.findings import Findings
from elec2water.identifiers import by_order
from elec2water.tables.layout import HEADER_ROWS, MAX_HEIGHT, Layout
from elec2water.tables.private import hide
from elec2water.tables.raw import RawTable, Recognise, rows_above

if TYPE_CHECKING:
    from elec2water.tables.context import Context

KindOf = Callable[[str], str]
"""What the column of a heading holds: ``number``, ``date``, ``datetime``, ``id``, or anything else."""

_CHUNK = 1 << 24
_HEAD_BYTES = 400_000
_ENDS, _CTRL_Z = b"\r\n\x1a", b"\x1a"
_BOMS = (b"\xff\xfe", b"\xfe\xff")
_BOMS_32 = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")
_BLOCK = 1 << 23
_TEXT = pa.dictionary(pa.int32(), pa.string())
_TRIED = (pa.float64(), pa.date32())
_TYPES = {"number": pa.float64(), "date": pa.date32(), "datetime": pa.date32(), "id": pa.string()}
"""What the cells of a column are tried as, by its kind; those that hold anything else are read as text."""
_LAST_ASCII = 127
_BAD_COLUMN = re.compile(r"[Cc]olumn #(\d+)")


def read_text(data: bytes, context: Context, recognise: Recognise, kind_of: KindOf) -> RawTable:
    """Read comma-, tab- or semicolon-separated text.

    Parameters
    ----------
    data : bytes
        UTF-8, GB18030, or UTF-16 with a byte order mark.
    context : Context
        For the findings.
    recognise : callable
        Finds the headings.
    kind_of : callable
        What the columns hold: numbers and days are tried as such; a column that holds anything else is read as text.

    Raises
    ------
    DataRefusedError
        If the text cannot be decoded, has no headings, or its records do not fit them.
    """
    if b"\n" not in data and b"\r" in data:
        data = data.replace(b"\r", b"\n")
    content, found = as_utf8(data, context, whole=False)
    try:
        header, columns, wide = _read(content, context, recognise, kind_of)
    except UnicodeDecodeError:
        # the beginning was plain, what follows is not UTF-8
        content, found = as_utf8(data, context)
        header, columns, wide = _read(content, context, recognise, kind_of)
    headings, size = header.layout.headings, len(columns[0])
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


def _read(
    content: bytes, context: Context, recognise: Recognise, kind_of: KindOf
) -> tuple[_Header, tuple[pa.Array, ...], Findings]:
    content = _without_end(content)
    header = _find_header(content, recognise)
    if header is None:
        first = content[:4096].split(b"\n", 1)[0].decode("utf-8", "replace")
        raise context.refuse("HEADER_NOT_FOUND", observed=hide(first.strip()[:80]))
    try:
        return header, _fast(content, header, kind_of), Findings.empty()
    except pa.ArrowInvalid:
        return header, *_careful(content, header, context)


def _without_end(content: bytes) -> bytes:
    """Leave out line ends and the mark of an old text file at the end; copy nothing if there is but one."""
    tail = content[-_HEAD_BYTES:]
    surplus = len(tail) - len(tail.rstrip(_ENDS))
    return content if surplus <= 2 and _CTRL_Z not in tail[-3:] else content.rstrip(_ENDS)


def as_utf8(data: bytes, context: Context, *, whole: bool = True) -> tuple[bytes, Findings]:
    """Climb the ladder: byte order mark, strict UTF-8, strict GB18030; a detector would call GBK Korean.

    With `whole` false only the beginning is looked at, for reading by columns sees what is not UTF-8.
    """
    if data.startswith(_BOMS_32):
        raise context.refuse("ENCODING", observed="UTF-32", row=1)
    if data.startswith(_BOMS):
        try:
            return data.decode("utf-16").encode("utf-8"), context.finding("ENCODING_NORMALISED", observed="UTF-16")
        except UnicodeError as error:
            raise context.refuse("ENCODING", observed="UTF-16") from error
    if b"\x00" in data:
        raise context.refuse("ENCODING", observed="NUL", row=data.count(b"\n", 0, data.index(b"\x00")) + 1)
    data = data.removeprefix(codecs.BOM_UTF8)
    if data.isascii() or _is_utf8(data if whole else _whole_lines(data)):
        return data, Findings.empty()
    return _from_gb18030(data, context), context.finding("ENCODING_NORMALISED", observed="GB18030")


def _whole_lines(data: bytes) -> bytes:
    head = data[:_HEAD_BYTES]
    return head if len(head) == len(data) else head[: head.rfind(b"\n") + 1]


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
    """Find where reading stops: in the encoding that goes farther, for that is the one the file was written in."""
    stops = []
    for codec in ("utf-8", "gb18030"):
        try:
            data.decode(codec)
        except UnicodeDecodeError as error:
            stops.append(error.start)
    return max(stops, default=len(data))


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


def _fast(content: bytes, header: _Header, kind_of: KindOf) -> tuple[pa.Array, ...]:
    """Read by columns; numbers and days as such where every cell is a plain one."""
    headings = header.layout.headings
    if content.count(b"\n", 0, _HEAD_BYTES) + 1 <= header.lines:
        return tuple(pa.array([], type=pa.string()) for _ in headings)
    types = [_TYPES.get(kind_of(text), _TEXT) for text in headings]
    while True:
        try:
            table = _parsed(content, header, types)
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                content.decode("utf-8")
            column = _BAD_COLUMN.search(str(error))
            if column is None or types[int(column[1])] not in _TRIED:
                raise
            types[int(column[1])] = _TEXT
            continue
        odd = [i for i, kind in enumerate(types) if kind == pa.float64() and not _all_finite(table.column(i))]
        if not odd:
            with ThreadPoolExecutor(pa.cpu_count()) as pool:
                return tuple(pool.map(_whole, table.columns))
        for i in odd:
            types[i] = _TEXT


def _parsed(content: bytes, header: _Header, kinds: list[pa.DataType]) -> pa.Table:
    names = [f"c{i}" for i in range(len(kinds))]
    types = dict(zip(names, kinds, strict=True))
    return pyarrow.csv.read_csv(
        pa.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(skip_rows=header.lines, column_names=names, block_size=_BLOCK),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=header.delimiter, newlines_in_values=b'"' in content, ignore_empty_lines=False
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types,
            strings_can_be_null=False,
            null_values=[""],
            check_utf8=False,
        ),
    )


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Join a column, see that its text is UTF-8, at a glance where it is ASCII, and code it."""
    array = combined(column)
    text = array.dictionary if pa.types.is_dictionary(array.type) else array
    letters = text.buffers()[2] if pa.types.is_string(text.type) else None
    if letters is not None and np.frombuffer(letters, np.uint8).max(initial=0) > _LAST_ASCII:
        text.validate(full=True)
    return by_order(array) if pa.types.is_string(array.type) else array


def _all_finite(column: pa.ChunkedArray) -> bool:
    """Whether no cell said nan, inf or 1e400: words that a parser of numbers takes and a reader must see."""
    total = pa.compute.sum(column).as_py()
    return total is None or bool(np.isfinite(total)) or bool(pa.compute.all(pa.compute.is_finite(column)).as_py())


def combined(column: pa.ChunkedArray) -> pa.Array:
    """Join the pieces of a column; dictionaries become one."""
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    if column.num_chunks == 1:
        return column.chunk(0)
    merged = column.combine_chunks()
    if not isinstance(merged, pa.ChunkedArray):
        return merged
    return merged.chunk(0) if merged.num_chunks else pa.array([], type=column.type)


def _careful(content: bytes, header: _Header, context: Context) -> tuple[tuple[pa.Array, ...], Findings]:
    """Read records of unequal length: short ones (notes, blank lines) are filled up, long ones are refused."""
    width = len(header.layout.headings)
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
    return tuple(pa.array(list(column), type=pa.string()) for column in columns), wide


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
