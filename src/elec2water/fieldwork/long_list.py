"""Rows of a very long list, put into a sheet of a finished workbook in a tenth of the time of cell by cell.

ECMA-376 part 1: rows and cells are those of section 18.3.1, texts stand inline (18.18.11).
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

from xlsxwriter.utility import xl_col_to_name

_SHEET = "xl/worksheets/sheet1.xml"
_TEXT_STYLE = re.compile(r' s="(\d+)" t="s"')
_NUMBER_STYLE = re.compile(r' s="(\d+)"><v>')
_ESCAPED = re.compile(r"_(x[0-9a-fA-F]{4}_)")


def with_rows(book: bytes, columns: Sequence[Sequence[object]], *, below: int) -> bytes:
    """Add rows to the first sheet of a workbook, in the styles of the row above them.

    Parameters
    ----------
    book : bytes
        An xlsx file whose first sheet has room for the rows.
    columns : sequence of sequences
        Cells of the new rows by column: text or numbers; nothing is written for what is blank or None. The texts have
        no control characters.
    below : int
        Row they go below, from 1: it has a text and a number.

    Returns
    -------
    bytes
        Of an xlsx file; the same cells give the same bytes.
    """
    source, target = zipfile.ZipFile(io.BytesIO(book)), io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for part in source.infolist():
            content = source.read(part)
            if part.filename == _SHEET:
                content = _extended(content.decode(), columns, below).encode()
            packed.writestr(part, content)
    return target.getvalue()


def _extended(sheet: str, columns: Sequence[Sequence[object]], below: int) -> str:
    start = sheet.index(f'<row r="{below}"')
    end = sheet.index("</row>", start) + len("</row>")
    text, number = (found[1] for found in (p.search(sheet, start, end) for p in (_TEXT_STYLE, _NUMBER_STYLE)) if found)
    cells = [_column(xl_col_to_name(k), cells, below + 1, text, number) for k, cells in enumerate(columns)]
    rows = [f'<row r="{r}">{"".join(row)}</row>' for r, row in enumerate(zip(*cells, strict=True), start=below + 1)]
    return "".join([sheet[:end], *rows, sheet[end:]])


def _column(name: str, cells: Sequence[object], first: int, text: str, number: str) -> list[str]:
    said = f'" s="{text}" t="inlineStr"><is><t xml:space="preserve">'
    counted = f'" s="{number}"><v>'
    return [
        f'<c r="{name}{row}{said}{_plain(cell)}</t></is></c>'
        if isinstance(cell, str) and cell
        else f'<c r="{name}{row}{counted}{cell:.16G}</v></c>'
        if isinstance(cell, (int, float)) and cell == cell
        else ""
        for row, cell in enumerate(cells, start=first)
    ]


def _plain(text: str) -> str:
    return text if text.isalnum() else _ESCAPED.sub(r"_x005F_\1", escape(text))
