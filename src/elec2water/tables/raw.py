"""A table as it stands in a file: text in columns, nothing interpreted yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from elec2water.findings import Findings
from elec2water.tables.layout import Layout, Range

if TYPE_CHECKING:
    from elec2water.tables.context import Context

Recognise = Callable[[Sequence[Sequence[str]], Sequence[Range]], Layout | None]
"""Finds the headings of the table among the first rows of a sheet."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """Columns as they stand in the file.

    Attributes
    ----------
    headings : tuple of str
        As written; headings of several rows are put together.
    columns : tuple of pyarrow.Array
        Text (dictionary-encoded or not), or typed (Parquet, and numbers that read as such), all of length n.
    rows : numpy.ndarray
        (n,) row numbers in the file: 1 is the first line.
    findings : Findings
        What was noticed on the way.
    above : tuple of str
        Cells above the headings: titles.
    words : frozenset of str
        Cells of the headings.
    sheet, file : str
        Name of the sheet, and of the file without its suffix.
    year : int or None
        The year of bare months, where it is known.
    """

    headings: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    rows: npt.NDArray[np.int64]
    findings: Findings = field(default_factory=Findings.empty)
    above: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    sheet: str = ""
    file: str = ""
    year: int | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """All cells of a sheet as text, by columns, from its top left corner.

    Attributes
    ----------
    name : str
        Of the sheet.
    columns : list of list of str
        Columns of one length.
    merged : tuple of Range
        Merged cells; the text stands in the first.
    hidden : bool
        Whether the sheet is not shown.
    """

    name: str
    columns: list[list[str]]
    merged: tuple[Range, ...] = ()
    hidden: bool = False

    def head(self, count: int) -> list[list[str]]:
        """Give the first rows."""
        return [list(row) for row in zip(*(column[:count] for column in self.columns), strict=True)]


def rows_above(layout: Layout, context: Context) -> Findings:
    """Say how many rows stand above the headings."""
    return context.finding("ROWS_ABOVE_HEADER", observed=layout.start) if layout.start else Findings.empty()


def of_grid(grid: Grid, layout: Layout, found: Findings) -> RawTable:
    """Cut the table out of a sheet: merged cells below the headings count for each of their rows."""
    columns = [list(column) for column in grid.columns]
    for (top, left), (bottom, right) in grid.merged:
        if top >= layout.body and left == right and left < len(columns):
            size = len(columns[left])
            columns[left][top + 1 : bottom + 1] = [columns[left][top]] * (min(bottom + 1, size) - top - 1)
    body = [pa.array(column[layout.body :], type=pa.string()) for column in columns]
    size = len(body[0]) if body else 0
    headings = (*layout.headings, *[""] * (len(body) - len(layout.headings)))
    rows = np.arange(layout.body + 1, layout.body + 1 + size)
    return RawTable(headings, tuple(body), rows, found, layout.above, layout.words, grid.name)
