"""From a workbook to rows of text: a pre-flight scan of the zip first, for the reader trusts what the file claims."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import python_calamine

from elec2water.findings import Findings

if TYPE_CHECKING:
    from elec2water.tables.context import Context

MAX_UNZIPPED = 1 << 30
MAX_RATIO = 200
MAX_MEMBERS = 10_000
MAX_BOX_CELLS = 20_000_000
"""Cells of the rectangle a reader allocates; more than this must be mostly filled."""

_CELL = re.compile(rb'<c\b[^>]*?\br="([A-Z]{1,3})([0-9]{1,7})"')
_ERROR = re.compile(rb'<c\b(?=[^>]*?\br="([A-Z]{1,3}[0-9]{1,7})")(?=[^>]*?\bt="e")[^>]*>.*?<v>([^<]*)</v>', re.DOTALL)
_UNCACHED = re.compile(
    rb'<c\b(?=[^>]*?\br="([A-Z]{1,3}[0-9]{1,7})")[^>]*>\s*<f\b(?:[^>]*/>|[^>]*>([^<]*)</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>'
)
_BLOCK = 1 << 22
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
)
_PASSWORD = "EncryptedPackage".encode("utf-16-le")

Cell = str | float | bool | datetime | date | time | timedelta


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: all its rows from A1 as text, the index of its row of headings, what was noticed."""

    name: str
    records: list[list[str]]
    header: int
    findings: Findings


def read_sheet(
    path: Path, sheet: str | None, context: Context, count_headings: Callable[[Sequence[str]], int]
) -> Sheet:
    """Read the sheet that holds the table.

    Parameters
    ----------
    path : pathlib.Path
        An xlsx (zip) or xls (OLE) workbook.
    sheet : str or None
        Its name; ``None`` takes the only sheet whose first rows hold known headings.
    context : Context
        For the findings.
    count_headings : callable
        Recognises the row of headings.

    Raises
    ------
    DataRefusedError
        If the workbook is locked, broken, hostile or ambiguous.
    """
    if zipfile.is_zipfile(path):
        marks = _preflight(path, context)
    else:
        _refuse_locked(path, context)
        marks = {}
    book = _opened(path, context)
    names = [sheet] if sheet is not None else list(book.sheet_names)
    if sheet is not None and sheet not in book.sheet_names:
        raise context.refuse("SHEET_NOT_FOUND", observed=sheet, limit=", ".join(book.sheet_names))
    found = [s for s in (_sheet(book, name, context, count_headings) for name in names) if s is not None]
    if not found:
        raise context.refuse("HEADER_NOT_FOUND", observed=", ".join(names)[:80])
    if len(found) > 1:
        raise context.refuse("SHEETS_AMBIGUOUS", observed=", ".join(s.name for s in found))
    chosen = found[0]
    notes = _mark_cells(chosen, marks.get(book.sheet_names.index(chosen.name), []), context)
    return Sheet(chosen.name, chosen.records, chosen.header, chosen.findings + notes)


def _refuse_locked(path: Path, context: Context) -> None:
    with path.open("rb") as stream:
        head = stream.read(1 << 24)
    if _PASSWORD in head:
        raise context.refuse("PASSWORD")
    if head.startswith(b"PK"):
        raise context.refuse("FILE_BROKEN", observed="zip")


def _opened(path: Path, context: Context) -> python_calamine.CalamineWorkbook:
    try:
        return python_calamine.CalamineWorkbook.from_path(str(path))
    except python_calamine.PasswordError as error:
        raise context.refuse("PASSWORD") from error
    except (python_calamine.CalamineError, OSError) as error:
        raise context.refuse("FILE_BROKEN", observed=" ".join(str(error).split())[:200]) from error


def _sheet(
    book: python_calamine.CalamineWorkbook,
    name: str,
    context: Context,
    count_headings: Callable[[Sequence[str]], int],
) -> Sheet | None:
    try:
        cells = book.get_sheet_by_name(name)
        records = [[_text(cell) for cell in row] for row in cells.to_python(skip_empty_area=False)]
    except python_calamine.WorksheetNotFound:
        return None
    except python_calamine.CalamineError as error:
        raise context.refuse("FILE_BROKEN", observed=f"{name}: {error}"[:200]) from error
    counts = [count_headings(row) for row in records[:30]]
    if not any(counts):
        return None
    header = counts.index(max(counts))
    _fill_down(records, cells.merged_cell_ranges or [], header)
    above = context.finding("ROWS_ABOVE_HEADER", observed=header) if header else Findings.empty()
    return Sheet(name, records, header, above)


def _fill_down(records: list[list[str]], ranges: list[tuple[tuple[int, int], tuple[int, int]]], header: int) -> None:
    """Give every row of a vertically merged cell its value: the file keeps it in the first one only."""
    for (top, left), (bottom, right) in ranges:
        if top > header and left == right and left < len(records[0]):
            for row in records[top + 1 : bottom + 1]:
                row[left] = records[top][left]


def _text(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, (int, float)):
        # Excel keeps 15 digits: a longer whole number stays marked as a float, so that an identifier made of it is seen
        return str(int(cell)) if cell == int(cell) and abs(cell) < 1e15 else repr(float(cell))
    return cell.isoformat() if isinstance(cell, (date, time)) else str(cell)


def _mark_cells(sheet: Sheet, marks: list[tuple[str, str, str]], context: Context) -> Findings:
    """Put the error text back where the reader left a blank, so that the cell is reported and not taken as missing."""
    if not marks:
        return Findings.empty()
    for rule, address, value in marks:
        row, column = _position(address)
        if row < len(sheet.records) and column < len(sheet.records[row]):
            sheet.records[row][column] = value if rule == "CELL_ERROR" else ""
    by_rule = {rule: [m for m in marks if m[0] == rule] for rule in ("CELL_ERROR", "UNCACHED_FORMULA")}
    return Findings.concat(
        context.finding(
            rule,
            row=[_position(m[1])[0] + 1 for m in group],
            observed=[m[2] for m in group],
            cell=[m[1] for m in group],
        )
        for rule, group in by_rule.items()
        if group
    )


def _position(address: str) -> tuple[int, int]:
    letters = address.rstrip("0123456789")
    return int(address[len(letters) :]) - 1, _column_number(letters.encode()) - 1


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _preflight(path: Path, context: Context) -> dict[int, list[tuple[str, str, str]]]:
    """Scan the zip without trusting it; give the error cells and uncached formulas of every sheet, in sheet order."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, context)
            members = _sheet_members(archive)
            return {i: _scan_sheet(archive, member, context) for i, member in enumerate(members)}
    except _BROKEN_ZIP as error:
        raise context.refuse("FILE_BROKEN", observed=" ".join(str(error).split())[:200]) from error


def _check_members(archive: zipfile.ZipFile, context: Context) -> None:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if "xl/workbook.xml" not in names:
        raise context.refuse("FILE_FORMAT", observed=", ".join(sorted(names)[:3]))
    total = sum(info.file_size for info in infos)
    packed = max(sum(info.compress_size for info in infos), 1)
    hostile = [name for name in names if ".." in Path(name).parts or name.startswith(("/", "\\"))]
    if hostile or len(names) > MAX_MEMBERS or len(set(names)) < len(names):
        raise context.refuse("WORKBOOK_HOSTILE", observed=(hostile or [f"{len(names)} members"])[0])
    if total > MAX_UNZIPPED or (total / packed > MAX_RATIO and total > 1 << 24):
        raise context.refuse("WORKBOOK_HOSTILE", observed=f"{total} B unzipped, ratio {total / packed:.0f}")
    for name in names:
        if name.endswith((".xml", ".rels")):
            with archive.open(name) as stream:
                if b"<!" in stream.read(4096).replace(b"<!--", b""):
                    raise context.refuse("WORKBOOK_HOSTILE", observed=f"{name}: <!DOCTYPE/ENTITY>")


def _sheet_members(archive: zipfile.ZipFile) -> list[str]:
    """List the sheet files in the order of the workbook, through its relationships."""
    book = archive.read("xl/workbook.xml").decode("utf-8", "replace")
    names = set(archive.namelist())
    rels = "xl/_rels/workbook.xml.rels"
    relations = archive.read(rels).decode("utf-8", "replace") if rels in names else ""
    targets = {}
    for tag in re.findall(r"<(?:\w+:)?Relationship\b[^>]*>", relations):
        key, target = re.search(r'\bId="([^"]*)"', tag), re.search(r'\bTarget="([^"]*)"', tag)
        if key and target:
            targets[key[1]] = target[1]
    order = re.findall(r'<(?:\w+:)?sheet\b[^>]*?\br:id="([^"]*)"', book)
    members = [_member_of(targets.get(key, "")) for key in order]
    return [member if member in names else "" for member in members]


def _member_of(target: str) -> str:
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _scan_sheet(archive: zipfile.ZipFile, member: str, context: Context) -> list[tuple[str, str, str]]:
    if not member:
        return []
    rows = columns = count = 0
    corner_row = corner_column = b""
    marks: list[tuple[str, str, str]] = []
    for block in _blocks(archive, member):
        for match in _CELL.finditer(block):
            count += 1
            row, column = int(match[2]), _column_number(match[1])
            if row > rows:
                rows, corner_row = row, match[1] + match[2]
            if column > columns:
                columns, corner_column = column, match[1] + match[2]
        marks += _marks_of(block)
    if rows * columns > max(MAX_BOX_CELLS, 20 * count) or (rows * columns > 2_000_000 and rows * columns > 200 * count):
        corner = (corner_column if columns > 1000 else corner_row).decode()
        raise context.refuse("STRAY_CELL", observed=corner, row=rows, cells=count)
    return marks


def _marks_of(block: bytes) -> list[tuple[str, str, str]]:
    errors = _ERROR.finditer(block) if b't="e"' in block else ()
    formulas = _UNCACHED.finditer(block) if b"<f" in block else ()
    return [("CELL_ERROR", m[1].decode(), m[2].decode("utf-8", "replace")) for m in errors] + [
        ("UNCACHED_FORMULA", m[1].decode(), "=" + (m[2] or b"").decode("utf-8", "replace")) for m in formulas
    ]


def _blocks(archive: zipfile.ZipFile, member: str) -> Iterator[bytes]:
    """Give the sheet in blocks that end between two rows."""
    rest = b""
    with archive.open(member) as stream:
        while block := stream.read(_BLOCK):
            rest += block
            cut = rest.rfind(b"</row>") + 6
            if cut >= 6:
                yield rest[:cut]
                rest = rest[cut:]
    yield rest
