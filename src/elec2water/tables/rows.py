"""Which rows of a sheet are records: blank rows, totals, notes and headings said again are dropped, and counted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from elec2water import schema
from elec2water.findings import Findings
from elec2water.tables import headings, stated
from elec2water.tables.parse import encode, parse_numbers, tidy

if TYPE_CHECKING:
    from elec2water.tables.context import Context
    from elec2water.tables.raw import RawTable

_RULES = ("BLANK_ROWS_DROPPED", "TOTAL_ROWS_DROPPED", "NOTE_ROWS_DROPPED", "HEADINGS_REPEATED")
_BLANK, _TOTAL, _NOTE, _HEADINGS = range(4)
_ADDITIVE = {"kwh", "m3", "mu"}
_PRINTED = 0.006
"""Differences of a sum below this are those of the last printed digit."""
_ENUMERATED = r"^\(?[0-9]{1,2}[.、．:)）]\s*[^\d\s]"
_NUMBER = re.compile(r"[-+]?[0-9０-９]")
_SECTION = r"^([一二三四五六七八九十]+[、.]|\([一二三四五六七八九十0-9]+\)|第.{1,3}[页章部])"


@dataclass(frozen=True, slots=True)
class _Rows:
    """How many cells of candidate rows are filled, or begin with a digit; whether any is a total, a note, a heading."""

    filled: npt.NDArray[np.int64]
    total: npt.NDArray[np.bool_]
    note: npt.NDArray[np.bool_]
    repeated: npt.NDArray[np.int64]
    named: npt.NDArray[np.int64]
    lone: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.int64]


def drop_non_records(raw: RawTable, own: headings.Aliases, context: Context) -> tuple[RawTable, Findings]:
    """Drop rows that are no records.

    Parameters
    ----------
    raw : RawTable
        As read.
    own : Aliases
        The project's own headings.
    context : Context
        For the findings.

    Returns
    -------
    RawTable
        Records only.
    Findings
        An info with the count for each kind dropped; a warning for each printed total that is not the sum of its rows.

    Raises
    ------
    DataRefusedError
        If the headings of a second table stand below the first.
    """
    key = _key_column(raw.headings, own, context.table)
    candidates = np.flatnonzero(_may_be_no_record(raw, raw.columns[key]))
    if len(candidates) == 0:
        return raw, Findings.empty()
    kinds = _kinds(raw, candidates, key, own, context)
    found = [
        context.finding(rule, observed=int((kinds == kind).sum()), row=raw.rows[candidates[kinds == kind][0]])
        for kind, rule in enumerate(_RULES)
        if (kinds == kind).any()
    ]
    keep = np.ones(len(raw.rows), dtype=bool)
    keep[candidates[kinds >= 0]] = False
    totals = candidates[kinds == _TOTAL]
    if len(totals):
        found += _sum_checks(raw, keep, totals, own, context)
    mask = pa.array(keep)
    columns = tuple(column.filter(mask) for column in raw.columns)
    return replace(raw, columns=columns, rows=raw.rows[keep]), Findings.concat(found)


def _key_column(names: tuple[str, ...], own: headings.Aliases, table: str) -> int:
    """Give the column that every record fills: the required identifier, else what stands for it, else the first."""
    columns = schema.columns(table)
    keys = {column.column for column in columns if column.type == "id" and column.required}
    ids = {column.column for column in columns if column.type == "id"}
    meanings = [headings.column_of(table, name, own) for name in names]
    places = [i for wanted in (keys, ids) for i, meaning in enumerate(meanings) if meaning in wanted]
    return places[0] if places else 0


def _may_be_no_record(raw: RawTable, cells: pa.Array) -> npt.NDArray[np.bool_]:
    """Look at the key column alone, cheaply: blank, or not of the letters and digits that identifiers are made of."""
    coded = encode(cells)
    values = coded.values
    if values.null_count == 0 and pc.all(pc.ascii_is_decimal(values)).as_py():
        return np.asarray(coded.codes < 0)
    suspect = np.asarray(pc.invert(pc.string_is_ascii(values)).fill_null(fill_value=True)).astype(bool)
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(values))
    words = [word for word in schema.words("total_row") if word.isascii()]
    for word in ("", *words, *(word.lower() for word in raw.words)):
        suspect |= np.asarray(pc.equal(lower, word).fill_null(fill_value=False)).astype(bool)
    return coded.spread(suspect, missing=True)


def _squeezed(text: pa.Array) -> pa.Array:
    return pc.utf8_lower(pc.replace_substring_regex(tidy(text), pattern=r"\s+", replacement=""))


def _kinds(
    raw: RawTable, at: npt.NDArray[np.int64], key: int, own: headings.Aliases, context: Context
) -> npt.NDArray[np.int8]:
    """Tell blank (0), total (1), note (2) and heading (3) rows from records (−1)."""
    seen = _looked_at(raw, at, key, own, context.table)
    kinds = np.full(len(at), -1, dtype=np.int8)
    kinds[seen.lone & (len(raw.headings) > 2) & (seen.filled == 1)] = _NOTE
    kinds[seen.note & ((seen.filled <= 4) | (seen.numbers == 0))] = _NOTE
    kinds[seen.total] = _TOTAL
    kinds[(seen.filled > 1) & (seen.repeated == seen.filled)] = _HEADINGS
    kinds[seen.filled == 0] = _BLANK
    _refuse_other_period(raw, at[seen.filled == 1], own, context)
    second = (seen.named >= 2) & (2 * seen.named > seen.filled) & (kinds == -1)
    if second.any():
        raise context.refuse("TABLES_STACKED", row=raw.rows[at[int(np.argmax(second))]], observed=int(second.sum()))
    return kinds


def _refuse_other_period(raw: RawTable, lone: npt.NDArray[np.int64], own: headings.Aliases, context: Context) -> None:
    """Refuse a sheet whose title names the month of all rows, and a row by itself another: a second table begins."""
    said = (*raw.above, raw.sheet, raw.file)
    month = stated.only_month(said)
    dated = {headings.column_of(context.table, text, own) for text in raw.headings} & {"month", "start", "read_on"}
    if context.table != "readings" or month is None or dated or len(lone) == 0:
        return
    rows = zip(*(column.take(pa.array(lone)).cast(pa.string()).to_pylist() for column in raw.columns), strict=True)
    for number, cells in zip(raw.rows[lone].tolist(), rows, strict=True):
        text = next((cell for cell in cells if cell and cell.strip()), "")
        other = stated.only_month((text, *said)) if stated.period_in(text) is not None else None
        if other is not None and other != month:
            raise context.refuse("TABLES_STACKED", row=number, observed=text[:80])


def _looked_at(raw: RawTable, at: npt.NDArray[np.int64], key: int, own: headings.Aliases, table: str) -> _Rows:
    size = len(at)
    filled, repeated, named, numbers = (np.zeros(size, dtype=np.int64) for _ in range(4))
    total, note, lone = (np.zeros(size, dtype=bool) for _ in range(3))
    words = {headings.normal(word) for word in raw.words}
    keys = encode(raw.columns[key].take(pa.array(at)))
    nameless = keys.spread(_flags(not text for text in _squeezed(keys.values).to_pylist()), missing=True)
    for number, column in enumerate(raw.columns):
        coded = encode(column.take(pa.array(at)))
        texts = [(text or "").strip() for text in coded.values.to_pylist()]
        squeezed = _squeezed(coded.values).to_pylist()
        is_filled = np.array([bool(text) for text in squeezed], dtype=bool)
        leading = (filled == 0) | nameless
        filled += coded.spread(is_filled, missing=False)
        numbers += coded.spread(_flags(_NUMBER.match(text) is not None for text in texts), missing=False)
        total |= leading & coded.spread(_flags(headings.is_total(text) for text in texts), missing=False)
        note |= leading & coded.spread(_flags(_is_note(text) for text in squeezed), missing=False)
        repeated += coded.spread(is_filled & _flags(headings.normal(text) in words for text in texts), missing=False)
        named += coded.spread(is_filled & _flags(_is_heading(text, own, table) for text in texts), missing=False)
        alone = _flags(_may_stand_alone(text, in_key=number == key) for text in squeezed)
        lone |= coded.spread(is_filled & alone, missing=False)
    return _Rows(filled, total, note, repeated, named, lone, numbers)


def _flags(values: Iterable[bool]) -> npt.NDArray[np.bool_]:
    return np.fromiter(values, dtype=bool)


def _is_note(text: str) -> bool:
    return text.startswith(_note_words())


@cache
def _note_words() -> tuple[str, ...]:
    return tuple(schema.words("note_row"))


def _is_heading(text: str, own: headings.Aliases, table: str) -> bool:
    """Whether a cell is a heading of this table or of another: words of the body (东乡, 在用) are none."""
    if len(text) > 30:
        return False
    return any(headings.column_of(name, text, own if name == table else ()) is not None for name in schema.tables())


def _may_stand_alone(text: str, *, in_key: bool) -> bool:
    """Whether the only filled cell of a row is a remark or a section and not an identifier."""
    if text.isascii():
        return False
    told = re.match(_SECTION, text) or re.match(_ENUMERATED, text) or stated.period_in(text)
    return not in_key or not any(c.isdigit() for c in text) or told is not None or len(text) > 30


def _sum_checks(
    raw: RawTable, keep: npt.NDArray[np.bool_], totals: npt.NDArray[np.int64], own: headings.Aliases, context: Context
) -> list[Findings]:
    """Hold printed totals against the rows above them, below them, or all of them."""
    units = {column.column: column.unit for column in schema.columns(context.table) if column.type == "number"}
    found = []
    for name, column in zip(raw.headings, raw.columns, strict=True):
        meaning = headings.column_of(context.table, name, own)
        if units.get(meaning or "") not in _ADDITIVE:
            continue
        values = parse_numbers(column, units[meaning or ""]).values
        printed = values[totals]
        sums = _possible_sums(np.where(keep, np.nan_to_num(values), 0.0), totals)
        least = np.min(np.abs(sums - printed), axis=0)
        differs = np.flatnonzero(least > np.maximum(_PRINTED, 1e-9 * np.abs(printed)))
        nearest = sums[np.argmin(np.abs(sums - printed), axis=0), np.arange(len(totals))]
        found.append(
            context.finding(
                "SUM_DIFF",
                row=raw.rows[totals[differs]],
                observed=nearest[differs],
                limit=printed[differs],
                column=name,
            )
        )
    return found


def _possible_sums(values: npt.NDArray[np.float64], totals: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Give what each total may sum: the rows since the total before it, all rows above, all rows, those to the next."""
    running = np.concatenate([[0.0], np.cumsum(values)])
    above, whole = running[totals], np.full(len(totals), running[-1])
    since = np.concatenate([[0.0], above[:-1]])
    until = np.append(above[1:], running[-1])
    return np.stack([above - since, above, whole, until - above])
