"""The child process that opens workbooks: it may run out of memory or crash, and only the workbook is lost.

Run as a script, ``python child.py WORKBOOK BYTES [SHEET]``: writes the sheets as JSON to standard output. It imports
nothing of the package, so that it starts within a few hundredths of a second.
"""

from __future__ import annotations

import json
import math
import sys
from datetime import date, datetime, time, timedelta
from typing import TypedDict

import python_calamine

if sys.platform != "win32":
    import resource

Cell = str | float | bool | datetime | date | time | timedelta


class SheetCells(TypedDict):
    """One sheet: its name, columns of text from the corner A1, merged ranges, and whether it is hidden."""

    name: str
    columns: list[list[str]]
    merged: list[tuple[tuple[int, int], tuple[int, int]]]
    hidden: bool


class Answer(TypedDict, total=False):
    """What the child says: the names of all sheets and the cells of those asked for, or why there are none."""

    error: str
    text: str
    names: list[str]
    sheets: list[SheetCells]


def limit_memory(size: int) -> None:
    """Cap the address space of this process; Windows has no such limit, the scan beforehand has to do there."""
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def text_of(cell: Cell) -> str:
    """Write a cell as text.

    Examples
    --------
    >>> text_of(12.0), text_of(1.5), text_of(1234567890123456789.0), text_of(True)
    ('12', '1.5', '1.2345678901234568e+18', 'TRUE')
    """
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, (int, float)):
        # Excel keeps 15 digits: a longer whole number stays marked as a float, so that an identifier made of it is seen
        whole = math.isfinite(cell) and cell == int(cell) and abs(cell) < 1e15
        return str(int(cell)) if whole else repr(float(cell))
    return cell.isoformat() if isinstance(cell, (date, time)) else str(cell)


def read_book(path: str, sheet: str | None) -> Answer:
    """Read a workbook that is xlsx, xlsb, xls or ods: one sheet by its name, or all of them."""
    try:
        book = python_calamine.CalamineWorkbook.from_path(path)
        names = list(book.sheet_names)
        hidden = {s.name: s.visible != python_calamine.SheetVisibleEnum.Visible for s in book.sheets_metadata}
        wanted = [name for name in names if sheet is None or name == sheet]
        sheets = [cells for name in wanted if (cells := _sheet(book, name, hidden=hidden[name])) is not None]
    except python_calamine.PasswordError as error:
        return {"error": "password", "text": str(error)}
    except (python_calamine.CalamineError, OSError, ValueError, OverflowError) as error:
        return {"error": "broken", "text": str(error)}
    except MemoryError:
        return {"error": "memory", "text": ""}
    return {"names": names, "sheets": sheets}


def _sheet(book: python_calamine.CalamineWorkbook, name: str, *, hidden: bool) -> SheetCells | None:
    try:
        cells = book.get_sheet_by_name(name)
    except python_calamine.WorksheetNotFound:
        return None
    columns = [
        [cell if cell.__class__ is str else text_of(cell) for cell in column]
        for column in zip(*cells.to_python(skip_empty_area=False), strict=True)
    ]
    return {"name": name, "columns": columns, "merged": list(cells.merged_cell_ranges or []), "hidden": hidden}


def main() -> None:
    """Answer on standard output."""
    path, size, *sheet = sys.argv[1:]
    limit_memory(int(size))
    answer = read_book(path, sheet[0] if sheet else None)
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode("utf-8"))


if __name__ == "__main__":
    main()
