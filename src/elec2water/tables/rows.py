"""Which rows of a sheet are records: blank rows, totals and the notes of the form are dropped, and counted."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from elec2water import schema
from elec2water.findings import Findings
from elec2water.tables.parse import encode, tidy

if TYPE_CHECKING:
    from elec2water.tables.container import RawTable
    from elec2water.tables.context import Context
    from elec2water.tables.headings import Heading

_GAP = r"\s*"
_RULES = ("BLANK_ROWS_DROPPED", "TOTAL_ROWS_DROPPED", "NOTE_ROWS_DROPPED")


def drop_non_records(
    raw: RawTable, headings: tuple[Heading | None, ...], context: Context
) -> tuple[RawTable, Findings]:
    """Drop rows that are no records.

    Parameters
    ----------
    raw : RawTable
        As read.
    headings : tuple of Heading or None
        What each column is.
    context : Context
        For the findings.

    Returns
    -------
    RawTable
        Records only.
    Findings
        An info with the count for each kind dropped.
    """
    key = _key_column(headings, context.table)
    candidates = np.flatnonzero(_may_be_no_record(raw.columns[key]))
    if len(candidates) == 0:
        return raw, Findings.empty()
    kinds = _kinds(raw, candidates)
    found = [
        context.finding(rule, observed=int((kinds == kind).sum()), row=raw.rows[candidates[kinds == kind][0]])
        for kind, rule in enumerate(_RULES)
        if (kinds == kind).any()
    ]
    keep = np.ones(len(raw.rows), dtype=bool)
    keep[candidates[kinds >= 0]] = False
    mask = pa.array(keep)
    columns = tuple(column.filter(mask) for column in raw.columns)
    return replace(raw, columns=columns, rows=raw.rows[keep]), Findings.concat(found)


def _key_column(headings: tuple[Heading | None, ...], table: str) -> int:
    keys = {column.column for column in schema.columns(table) if column.type == "id" and column.required}
    places = [i for i, heading in enumerate(headings) if heading is not None and heading.column in keys]
    return places[0] if places else 0


def _may_be_no_record(cells: pa.Array) -> npt.NDArray[np.bool_]:
    """Look at the key column alone, cheaply: blank, or beginning as totals and notes do."""
    coded = encode(cells)
    match = pc.match_substring_regex(coded.values, _LOOSE, ignore_case=True)
    return coded.spread(np.asarray(pc.fill_null(match, fill_value=True)), missing=True)


def _squeezed(text: pa.Array) -> pa.Array:
    return pc.utf8_lower(pc.replace_substring_regex(tidy(text), pattern=r"\s+", replacement=""))


def _starts_with(kind: str, gap: str = "") -> str:
    words = (gap.join(map(re.escape, word)) for word in schema.words(kind))
    return "(" + "|".join(words) + ")"


_LOOSE = rf"^[\s\x{{A0}}\x{{3000}}\x{{200B}}]*($|{_starts_with('total_row', _GAP)}|{_starts_with('note_row', _GAP)})"


def _kinds(raw: RawTable, at: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    """Tell blank (0), total (1) and note (2) rows from records (−1)."""
    blank = np.ones(len(at), dtype=bool)
    total = np.zeros(len(at), dtype=bool)
    note = np.zeros(len(at), dtype=bool)
    filled = np.zeros(len(at), dtype=np.int64)
    totals = pa.array(list(schema.words("total_row")), pa.string())
    for column in raw.columns:
        coded = encode(column.take(pa.array(at)))
        text = _squeezed(coded.values)
        empty = coded.spread(np.asarray(pc.equal(text, "").fill_null(fill_value=True)), missing=True)
        blank &= empty
        filled += ~empty
        total |= coded.spread(np.asarray(pc.is_in(text, value_set=totals)), missing=False)
        starts = pc.match_substring_regex(text, "^" + _starts_with("note_row"))
        note |= coded.spread(np.asarray(starts.fill_null(fill_value=False)), missing=False)
    kinds = np.full(len(at), -1, dtype=np.int8)
    kinds[note & (filled <= 4)] = 2
    kinds[total] = 1
    kinds[blank] = 0
    return kinds
