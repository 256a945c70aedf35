"""From a workbook to sheets of text: scanned first, then opened by a child process with a memory limit."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elec2water.findings import Findings
from elec2water.tables import child, headings
from elec2water.tables.layout import Range
from elec2water.tables.preflight import (
    BROKEN_ZIP,
    Mark,
    Scan,
    check_members,
    check_open_document,
    cropped,
    position,
    scan_sheets,
)
from elec2water.tables.private import hide
from elec2water.tables.raw import Grid, RawTable, Recognise, of_grid, rows_above

if TYPE_CHECKING:
    from elec2water.tables.context import Context

MEMORY_LIMIT = 4 << 30
"""Address space of the child process [bytes]: a sheet of a million rows and ten columns needs about half of it."""
LEAST_TIME_S, TIME_PER_MB_S = 60.0, 20.0
"""Time the child process has: 200,000 rows of 8 MB take 4 s, and a damaged file of 2 KB may take for ever."""
_HEAD = 40
_PASSWORD = "EncryptedPackage".encode("utf-16-le")
_BOOKS = {"xl/workbook.xml", "xl/workbook.bin", "content.xml"}


def is_book(names: list[str]) -> bool:
    """Whether the members of a zip are those of a workbook (xlsx, xlsb or ods)."""
    return bool(_BOOKS & set(names))


def read_workbook(path: Path, sheet: str | None, context: Context, recognise: Recognise) -> list[RawTable]:
    """Read the sheet, or the sheets, that hold the table.

    Parameters
    ----------
    path : pathlib.Path
        An xlsx, xlsb or ods (zip) or xls (OLE) workbook.
    sheet : str or None
        Name of the sheet; ``None`` takes the only one whose first rows hold known headings, ``*`` all such sheets.
    context : Context
        For the findings.
    recognise : callable
        Finds the headings.

    Returns
    -------
    list of RawTable
        One, unless all sheets were asked for.

    Raises
    ------
    DataRefusedError
        If the workbook is locked, broken, hostile, too large or ambiguous.
    """
    if zipfile.is_zipfile(path):
        scans = _preflight(path, context)
    else:
        _refuse_locked(path, context)
        scans = []
    names, grids = _opened(path, sheet, scans, context)
    if sheet not in {None, "*"} and sheet not in names:
        raise context.refuse("SHEET_NOT_FOUND", observed=sheet, limit=", ".join(names))
    found = [(grid, layout) for grid in grids if (layout := recognise(grid.head(_HEAD), grid.merged)) is not None]
    if not found:
        raise context.refuse("HEADER_NOT_FOUND", observed=_first_rows(grids))
    shown = [item for item in found if not item[0].hidden] or found
    if len(shown) > 1 and sheet != "*":
        raise context.refuse("SHEETS_AMBIGUOUS", observed=", ".join(grid.name for grid, _ in shown))
    sums = [grid.name for grid, _ in shown if headings.is_total_sheet(grid.name)]
    if 0 < len(sums) < len(shown):
        shown = [item for item in shown if item[0].name not in sums]
    else:
        sums = []
    skipped = [grid.name for grid, _ in found if grid.hidden and grid not in [other for other, _ in shown]]
    notes = context.finding("HIDDEN_SHEET", observed=skipped) + context.finding("TOTAL_SHEET", observed=sums)
    tables = []
    for number, (grid, layout) in enumerate(shown):
        scan = scans[names.index(grid.name)] if scans else Scan([])
        marked = _mark_cells(grid, scan.marks, context) + _cut(scan, context) + rows_above(layout, context)
        tables.append(of_grid(grid, layout, marked + (notes if number == 0 else Findings.empty())))
    return tables


def _first_rows(grids: Sequence[Grid]) -> str:
    """Give the first filled row of every sheet, for a reader who looks for the headings."""
    first = (next((row for row in grid.head(_HEAD) if any(map(str.strip, row))), []) for grid in grids)
    told = (
        f"{grid.name}: {', '.join(c.strip() for c in row if c.strip())}"[:80]
        for grid, row in zip(grids, first, strict=True)
    )
    return hide("; ".join(told)[:240])


def _cut(scan: Scan, context: Context) -> Findings:
    if scan.crop is None:
        return Findings.empty()
    return context.finding("STRAY_BLANK", observed=scan.stray, row=position(scan.stray)[0] + 1)


def _refuse_locked(path: Path, context: Context) -> None:
    with path.open("rb") as stream:
        head = stream.read(1 << 24)
    if _PASSWORD in head:
        raise context.refuse("PASSWORD")
    if head.startswith(b"PK"):
        raise context.refuse("FILE_BROKEN", observed="zip")
    if path.suffix.lower() == ".et":
        raise context.refuse("FILE_FORMAT", observed="WPS .et")


def _preflight(path: Path, context: Context) -> list[Scan]:
    """Scan the zip without trusting it; xlsb and ods are held by the memory limit alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(archive, context)
            names = archive.namelist()
            if not is_book(names):
                raise context.refuse("FILE_FORMAT", observed=", ".join(sorted(names)[:3]))
            if "content.xml" in names and "xl/workbook.xml" not in names:
                check_open_document(archive, context)
            return scan_sheets(archive, context) if "xl/workbook.xml" in names else []
    except BROKEN_ZIP as error:
        raise context.refuse("FILE_BROKEN", observed=" ".join(str(error).split())[:200]) from error


def _opened(path: Path, sheet: str | None, scans: list[Scan], context: Context) -> tuple[list[str], list[Grid]]:
    crops = {number: scan.crop for number, scan in enumerate(scans) if scan.crop is not None}
    wanted = None if sheet == "*" else sheet
    if not crops:
        return _by_child(path, wanted, context)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "cropped.xlsx"
        cropped(path, copy, crops)
        return _by_child(copy, wanted, context)


def _by_child(path: Path, sheet: str | None, context: Context) -> tuple[list[str], list[Grid]]:
    """Have a child process read the workbook; whatever becomes of it, this process lives."""
    command = [sys.executable, "-P", str(child.__file__), str(path.resolve()), str(MEMORY_LIMIT)]
    limit = LEAST_TIME_S + TIME_PER_MB_S * path.stat().st_size / 1e6
    try:
        done = subprocess.run(
            command + ([sheet] if sheet is not None else []), capture_output=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise context.refuse("FILE_BROKEN", observed=f"> {limit:.0f} s") from late
    answer: child.Answer = json.loads(done.stdout) if done.returncode == 0 else {"error": "memory"}
    error = answer.get("error")
    if error == "password":
        raise context.refuse("PASSWORD")
    if error == "memory":
        raise context.refuse("WORKBOOK_MEMORY", observed=f"{path.stat().st_size:,} B", limit=MEMORY_LIMIT >> 30)
    if error is not None:
        raise context.refuse("FILE_BROKEN", observed=" ".join(answer.get("text", "").split())[:200])
    grids = [Grid(s["name"], s["columns"], tuple(map(_range, s["merged"])), s["hidden"]) for s in answer["sheets"]]
    return answer["names"], grids


def _range(corners: Sequence[Sequence[int]]) -> Range:
    (top, left), (bottom, right) = corners
    return (top, left), (bottom, right)


def _mark_cells(grid: Grid, marks: list[Mark], context: Context) -> Findings:
    """Put the error text back where the reader left a blank, so that the cell is reported and not taken as missing."""
    for mark in marks:
        row, column = position(mark.address)
        if mark.rule != "EXTERNAL_LINK" and column < len(grid.columns) and row < len(grid.columns[column]):
            grid.columns[column][row] = mark.text if mark.rule == "CELL_ERROR" else ""
    by_rule = {rule: [m for m in marks if m.rule == rule] for rule in dict.fromkeys(m.rule for m in marks)}
    return Findings.concat(
        context.finding(
            rule,
            row=[position(m.address)[0] + 1 for m in group],
            observed=[m.text for m in group],
            cell=[m.address for m in group],
        )
        for rule, group in by_rule.items()
    )
