"""From a file to raw tables: the format is told by the first bytes, never by the name; nothing is interpreted yet."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from elec2water.findings import Findings
from elec2water.identifiers import by_order
from elec2water.tables import markup
from elec2water.tables.private import hide
from elec2water.tables.raw import Grid, RawTable, Recognise, of_grid, rows_above
from elec2water.tables.text import KindOf, as_utf8, combined, read_text
from elec2water.tables.workbook import read_workbook

if TYPE_CHECKING:
    from elec2water.tables.context import Context

_MARKUP = (
    b"<html",
    b"<!doctype",
    b"<table",
    b"<?xml",
    b"<meta",
    b"<head",
    b"<body",
    b"<style",
    b"<div",
    b"<workbook",
    b"<!--",
)
_FOREIGN = {
    b"%PDF": "PDF",
    b"MIME-Version:": "MHTML",
    b"\x1f\x8b": "gzip",
    b"Rar!": "RAR",
    b"7z\xbc\xaf": "7z",
    b"SQLite": "SQLite",
}
_HEAD = 40
_MOST_BYTES = 1 << 30
"""Text beyond this may not fit into one array before it is coded."""


def read_raw(path: Path, sheet: str | None, context: Context, recognise: Recognise, kind_of: KindOf) -> list[RawTable]:
    """Read one file.

    Parameters
    ----------
    path : pathlib.Path
        Text (UTF-8, GB18030 or UTF-16 with a byte order mark; comma, tab or semicolon), xlsx, xlsb, xls, ods, HTML, the
        XML of Excel 2003, or Parquet.
    sheet : str or None
        Name of the sheet of a workbook; ``None`` takes the only one with known headings, ``*`` all of them.
    context : Context
        For the findings.
    recognise : callable
        Finds the headings.
    kind_of : callable
        What the column of a heading holds.

    Returns
    -------
    list of RawTable
        One for each sheet read.

    Raises
    ------
    DataRefusedError
        If the file cannot be read safely or completely; it holds the finding that says why.
    """
    _refuse_no_file(path, context)
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not head:
        raise context.refuse("NO_ROWS", observed="0 B")
    for start, name in _FOREIGN.items():
        if head.startswith(start):
            raise context.refuse("FILE_FORMAT", observed=name)
    if head.startswith(b"PAR1"):
        tables = [_read_parquet(path, context)]
    elif head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        tables = read_workbook(path, sheet, context, recognise)
    elif _is_markup(head):
        tables = _read_markup(path.read_bytes(), sheet, context, recognise)
    else:
        tables = [read_text(path.read_bytes(), context, recognise, kind_of)]
    if any(len(table.rows) == 0 for table in tables):
        raise context.refuse("NO_ROWS", observed=", ".join(t.sheet for t in tables if len(t.rows) == 0) or 0)
    return [replace(table, file=path.name.split(".")[0]) for table in tables]


def _refuse_no_file(path: Path, context: Context) -> None:
    if path.is_symlink():
        raise context.refuse("NOT_A_FILE", observed=f"{path} → {path.readlink()}")
    if not path.exists():
        raise context.refuse("MISSING_FILE", limit=str(path))
    if not stat.S_ISREG(path.stat().st_mode):
        raise context.refuse("NOT_A_FILE", observed=str(path))


def _is_markup(head: bytes) -> bool:
    plain = head.replace(b"\x00", b"") if head.startswith((b"\xff\xfe", b"\xfe\xff")) else head
    return plain.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower().startswith(_MARKUP)


def _read_markup(data: bytes, sheet: str | None, context: Context, recognise: Recognise) -> list[RawTable]:
    content, found = as_utf8(data, context)
    try:
        if b"urn:schemas-microsoft-com:office:spreadsheet" in content[:20_000] and b"<Worksheet" in content:
            grids = markup.xml_grids(re.sub(rb"^\s*<\?xml[^>]*\?>", b"", content))
        else:
            grids = markup.html_grids(content.decode("utf-8"))
    except markup.MarkupError as error:
        rule = "WORKBOOK_HOSTILE" if "DOCTYPE" in str(error) else "FILE_BROKEN"
        raise context.refuse(rule, observed=str(error)[:200]) from error
    except markup.TooLargeError as error:
        raise context.refuse("WORKBOOK_HOSTILE", observed=f"> {markup.MAX_CELLS:,} cells") from error
    if not grids:
        raise context.refuse("FILE_FORMAT", observed="HTML/XML")
    return _chosen(grids, sheet, found, context, recognise)


def _chosen(
    grids: list[Grid], sheet: str | None, found: Findings, context: Context, recognise: Recognise
) -> list[RawTable]:
    """Take the table that holds the headings; a page that repeats them in several tables is one list cut into pages."""
    named = [grid for grid in grids if sheet in {None, "*", grid.name}]
    if not named:
        raise context.refuse("SHEET_NOT_FOUND", observed=sheet, limit=", ".join(grid.name for grid in grids))
    known = [(grid, layout) for grid in named if (layout := recognise(grid.head(_HEAD), grid.merged)) is not None]
    if not known:
        first = next((cell for column in named[0].columns for cell in column if cell.strip()), "")
        raise context.refuse("HEADER_NOT_FOUND", observed=hide(first[:80]))
    if len(known) > 1 and sheet != "*":
        raise context.refuse("SHEETS_AMBIGUOUS", observed=", ".join(grid.name for grid, _ in known))
    tables = [of_grid(grid, layout, rows_above(layout, context)) for grid, layout in known]
    return [replace(tables[0], findings=tables[0].findings + found), *tables[1:]]


def _read_parquet(path: Path, context: Context) -> RawTable:
    """Read column by column, text as dictionary codes at once: the plain text of one column only is held in memory."""
    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = tuple(file.schema_arrow.names)
        odd = [field.name for field in file.schema_arrow if _holds_no_cells(field.type)]
        size = file.metadata.num_rows
        blank = pa.nulls(size, pa.string())
        columns = tuple(blank if name in odd else _coded(file.read(columns=[name]).column(0)) for name in names)
        for column in columns:
            column.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise context.refuse("FILE_BROKEN", observed=" ".join(str(error).split())[:200]) from error
    if size == 0:
        raise context.refuse("NO_ROWS", observed=0)
    if any(len(column) != size for column in columns):
        raise context.refuse("FILE_BROKEN", observed=f"{size} ≠ {sorted({len(column) for column in columns})}")
    return RawTable(names, columns, np.arange(2, size + 2), context.finding("COLUMN_TYPE", observed=odd))


def _holds_no_cells(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _coded(column: pa.ChunkedArray) -> pa.Array:
    if column.nbytes > _MOST_BYTES:
        return combined(column.dictionary_encode())
    whole = combined(column)
    is_text = pa.types.is_string(whole.type) or pa.types.is_large_string(whole.type)
    return by_order(whole) if is_text else whole
