"""Tables in HTML and in the XML of Excel 2003: what web systems call .xls."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from xml.parsers import expat

from elec2water.tables.layout import Range
from elec2water.tables.raw import Grid

MAX_SPAN = 1000
"""Cells that one cell may cover; pages claim any number."""
MAX_CELLS = 30_000_000

_CELLS = {"td", "th"}
_NAMESPACE = "urn:schemas-microsoft-com:office:spreadsheet "


class TooLargeError(Exception):
    """The page claims more cells than anyone could have."""


class MarkupError(Exception):
    """The XML is not well-formed, or is not a workbook."""


def html_grids(text: str) -> list[Grid]:
    """Give the tables of a page, in order; a table inside another's cell is a table of its own.

    Raises
    ------
    TooLargeError
        If a table claims too many cells.
    """
    reader = _HtmlTables()
    reader.feed(text)
    reader.close()
    tables = [*reader.done, *reader.open]
    return [table.grid(f"<table {i}>") for i, table in enumerate(tables, start=1) if table.rows]


class _Sheet:
    """Rows of cells as they come, each put into the first place not covered by one above or at its left."""

    def __init__(self) -> None:
        self.rows: list[dict[int, str]] = []
        self.merged: list[Range] = []
        self._covered: dict[int, int] = {}
        self._width = self._cells = 0

    def start_row(self, number: int | None = None) -> None:
        """Begin the next row, or the row of a number counted from 1."""
        while True:
            self._covered = {column: left - 1 for column, left in self._covered.items() if left > 1}
            self.rows.append({})
            self._count(1)
            if number is None or len(self.rows) >= min(number, 1 << 21):
                return

    def add(self, text: str, down: int, right: int, column: int | None = None) -> None:
        """Add a cell that covers `down` rows and `right` columns."""
        if not self.rows:
            self.start_row()
        row = self.rows[-1]
        place = column if column is not None else max(row, default=-1) + 1
        while place in self._covered or place in row:
            place += 1
        row[place] = text
        for covered in range(place + 1, place + right):
            row.setdefault(covered, "")
        if down > 1:
            self._covered |= dict.fromkeys(range(place, place + right), down)
        if down > 1 or right > 1:
            top = len(self.rows) - 1
            self.merged.append(((top, place), (top + down - 1, place + right - 1)))
        self._width = max(self._width, place + right)
        self._count(right)

    def _count(self, cells: int) -> None:
        self._cells += cells
        if self._cells > MAX_CELLS or self._width * len(self.rows) > MAX_CELLS:
            raise TooLargeError

    def grid(self, name: str, *, hidden: bool = False) -> Grid:
        """Give the columns of text."""
        if self._width * len(self.rows) > MAX_CELLS:
            raise TooLargeError
        columns = [[row.get(i, "") for row in self.rows] for i in range(self._width)]
        last = len(self.rows) - 1
        merged = [((top, left), (min(bottom, last), right)) for (top, left), (bottom, right) in self.merged]
        return Grid(name, columns, tuple(merged), hidden)


class _HtmlTables(HTMLParser):
    """Collect the tables of a page; whatever is not well-formed is read as browsers do, cell by cell."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.done: list[_Sheet] = []
        self.open: list[_Sheet] = []
        self._cell: list[str] | None = None
        self._span = (1, 1)
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Open a table, a row or a cell; a line break is a blank."""
        if tag in {"script", "style"}:
            self._skipped += 1
        elif tag == "table":
            self._end_cell()
            self.open.append(_Sheet())
        elif tag == "tr" and self.open:
            self._end_cell()
            self.open[-1].start_row()
        elif tag in _CELLS and self.open:
            self._end_cell()
            values = dict(attrs)
            self._cell, self._span = [], (_span(values.get("rowspan")), _span(values.get("colspan")))
        elif tag in {"br", "p", "div"} and self._cell:
            self._cell.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened."""
        if tag in {"script", "style"}:
            self._skipped = max(self._skipped - 1, 0)
        elif tag in _CELLS or tag == "tr":
            self._end_cell()
        elif tag == "table" and self.open:
            self._end_cell()
            self.done.append(self.open.pop())

    def handle_data(self, data: str) -> None:
        """Keep the text of a cell."""
        if self._cell is not None and not self._skipped:
            self._cell.append(data)

    def _end_cell(self) -> None:
        if self._cell is not None and self.open:
            self.open[-1].add(" ".join("".join(self._cell).split()), *self._span)
        self._cell = None


def _span(text: str | None) -> int:
    digits = re.match(r"\s*(\d{1,9})", text or "")
    return min(max(int(digits[1]), 1), MAX_SPAN) if digits else 1


def xml_grids(data: bytes) -> list[Grid]:
    """Give the sheets of an Excel 2003 XML workbook.

    Raises
    ------
    MarkupError
        If it is not one, or declares entities.
    TooLargeError
        If a sheet claims too many cells.
    """
    reader = _XmlSheets()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.data
    parser.EntityDeclHandler = parser.StartDoctypeDeclHandler = _refuse_declaration
    try:
        parser.ParseFile(io.BytesIO(data))
    except expat.ExpatError as error:
        raise MarkupError(str(error)) from error
    return reader.grids


def _refuse_declaration(*_: object) -> None:
    raise MarkupError("<!DOCTYPE/ENTITY>")


class _XmlSheets:
    """Follow the elements of an Excel 2003 XML workbook."""

    def __init__(self) -> None:
        self.grids: list[Grid] = []
        self._sheet: _Sheet | None = None
        self._name = ""
        self._text: list[str] | None = None
        self._place: tuple[int, int, int | None] = (1, 1, None)
        self._filled = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Open a sheet, a row, a cell or its text."""
        said = {key.removeprefix(_NAMESPACE): value for key, value in attributes.items()}
        tag = name.removeprefix(_NAMESPACE)
        if tag == "Worksheet":
            self._sheet, self._name = _Sheet(), said.get("Name", "")
        elif self._sheet is None:
            return
        elif tag == "Row":
            self._sheet.start_row(_index(said.get("Index")))
        elif tag == "Cell":
            column = _index(said.get("Index"))
            down, right = (_index(said.get(key)) or 0 for key in ("MergeDown", "MergeAcross"))
            self._place = (min(down, MAX_SPAN) + 1, min(right, MAX_SPAN) + 1, None if column is None else column - 1)
            self._text, self._filled = [], False
        elif tag == "Data":
            self._filled = True

    def data(self, text: str) -> None:
        """Keep the text of a cell."""
        if self._text is not None and self._filled:
            self._text.append(text)

    def end(self, name: str) -> None:
        """Close a cell or a sheet."""
        tag = name.removeprefix(_NAMESPACE)
        if tag == "Data":
            self._filled = False
        elif tag == "Cell" and self._sheet is not None and self._text is not None:
            self._sheet.add("".join(self._text).strip(), *self._place)
            self._text = None
        elif tag == "Worksheet" and self._sheet is not None:
            self.grids.append(self._sheet.grid(self._name))
            self._sheet = None


def _index(text: str | None) -> int | None:
    return min(int(text), 1 << 21) if text is not None and text.isascii() and text.isdigit() and int(text) > 0 else None
