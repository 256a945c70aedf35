"""Wide tables, a column for each month (or day, or quarter), turned into long ones: a row for each period."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from elec2water import schema
from elec2water.findings import Findings
from elec2water.tables import headings, stated
from elec2water.tables.dates import lost_zero
from elec2water.tables.parse import encode, parse_numbers, tidy

if TYPE_CHECKING:
    from elec2water.tables.context import Context
    from elec2water.tables.raw import RawTable

MEASURES = {
    "readings": ("energy_kwh", "register_kwh", "quality", "register_start_kwh", "register_end_kwh", "metered_kwh",
        "energy_sharp_kwh", "energy_peak_kwh", "energy_flat_kwh", "energy_valley_kwh", "exchange_kwh",
        "adjustment_kwh"),
    "pairs": ("energy_kwh", "volume_m3"),
    "water_levels": ("depth_m",),
}  # fmt: skip
"""What a column of a period can hold; the first is meant where a heading says the period alone (but see pairs)."""

_YEARS_OF_A_MONTH = 3
_SHEET_MEASURES = ("示数", "表码", "表底")


@dataclass(frozen=True, slots=True)
class _Cell:
    """A column of a wide table: which one, which period, and the heading that is left without it."""

    index: int
    period: stated.Stated
    measure: str


def measure_of(table: str, text: str, own: headings.Aliases) -> tuple[stated.Stated, str, str] | None:
    """Understand the heading of a period: (period, canonical column, heading without the period).

    Parameters
    ----------
    table : str
        Name of the table.
    text : str
        A heading that is no column by itself.
    own : Aliases
        The project's own headings.
    """
    if table not in MEASURES:
        return None
    said = stated.period_in(text) or stated.serial_month(text)
    if said is None:
        return None
    if not said.rest:
        return (said, MEASURES[table][0], MEASURES[table][0]) if table != "pairs" else None
    column = headings.column_of(table, said.rest, own) or headings.column_of(table, said.rest.strip("()[]"), own)
    return (said, column, said.rest) if column in MEASURES[table] else None


def meaning(table: str, text: str, own: headings.Aliases) -> str | None:
    """Tell what a heading means: a column, ``@`` with a period and a column, or nothing (``None``)."""
    column = headings.column_of(table, text, own)
    if column is not None:
        return column
    said = measure_of(table, text, own)
    if said is None:
        return None
    period, column, _ = said
    return f"@{period.year}-{period.quarter}-{period.month}-{period.day}:{column}"


def lengthen(raw: RawTable, own: headings.Aliases, context: Context) -> tuple[RawTable, Findings]:
    """Give a row for every period that a row of a wide table holds.

    Parameters
    ----------
    raw : RawTable
        As read, without totals and notes.
    own : Aliases
        The project's own headings.
    context : Context
        For the findings.

    Returns
    -------
    RawTable
        The same table if no heading states a period; else long, in the order of the rows; a period whose cells are all
        blank has no row (nothing is known, which is not zero).
    Findings
        An info that says how the table was read.

    Raises
    ------
    DataRefusedError
        If months are named without a year, or one period occurs twice.
    """
    cells = _period_cells(raw, own, context.table)
    if not cells:
        return raw, Findings.empty()
    if _names_time(raw, own, context.table):
        return raw, Findings.empty()
    of_year = _year_column(raw, own, context.table)
    if of_year is not None and all(cell.period.year is None for cell in cells):
        return _year_by_year(raw, of_year, own, context)
    _refuse_lost_zeros(raw, cells, context)
    years = _years(raw, cells, context)
    measures = list(dict.fromkeys(cell.measure for cell in cells))
    spans = {cell.index: stated.bounds(cell.period, years[cell.index]) for cell in cells}
    daily = all(cell.period.day is not None for cell in cells) and (
        not _all_first_of_month(spans) or _are_registers(measures, own, context.table)
    )
    spans = spans if daily else {cell.index: _whole(cell, spans[cell.index]) for cell in cells}
    periods = sorted(set(spans.values()))
    place = {(spans[cell.index], cell.measure): cell.index for cell in cells}
    if len(place) < len(cells):
        raise context.refuse("PERIOD_TWICE", observed=" | ".join(raw.headings[cell.index] for cell in cells)[:200])
    long = _long(raw, cells, periods, place, measures, own, context.table)
    found = context.finding(
        "WIDE_READ", observed=len(periods), limit=f"{periods[0][0]} … {periods[-1][1]}", blank=long.blank
    )
    if "read_on" in long.raw.headings and not daily:
        found += context.finding("READ_DAY_ASSUMED")
    return long.raw, found + _totals_left(raw, cells, own, context)


def _refuse_lost_zeros(raw: RawTable, cells: Sequence[_Cell], context: Context) -> None:
    """Refuse a heading 2026.1 that may be the number of an October: its whole column would count for a January."""
    texts = [unicodedata.normalize("NFKC", raw.headings[cell.index]).strip() for cell in cells]
    doubtful = [text for text, lost in zip(texts, lost_zero(texts), strict=True) if lost] or _many_years(texts)
    if doubtful:
        raise context.refuse("PERIOD_DOUBTFUL", observed=" | ".join(doubtful))


def _many_years(texts: Sequence[str]) -> list[str]:
    """Give headings such as Jul-15, Jul-16, Jul-17 and Jul-18: of one month in so many years, they are days."""
    short = [text for text in texts if re.fullmatch(r"[A-Za-z]+[-\s']\d\d", text)]
    count = Counter(text[:3].lower() for text in short)
    return [text for text in short if count[text[:3].lower()] > _YEARS_OF_A_MONTH]


def _period_cells(raw: RawTable, own: headings.Aliases, table: str) -> list[_Cell]:
    found = []
    registers = any(word in " ".join((*raw.above, raw.sheet)) for word in _SHEET_MEASURES)
    for index, text in enumerate(raw.headings):
        if headings.column_of(table, text, own) is not None:
            continue
        said = measure_of(table, text, own)
        if said is not None:
            period, column, rest = said
            bare = rest == column == "energy_kwh"
            found.append(_Cell(index, period, "register_kwh" if bare and registers else rest))
    return found


def _names_time(raw: RawTable, own: headings.Aliases, table: str) -> bool:
    """Whether the table has columns of its own for the period: then a heading such as 7月电量 is one more column."""
    columns = {headings.column_of(table, text, own) for text in raw.headings}
    return bool(columns & {"month", "start", "read_on", "date"}) and bool(columns & set(MEASURES[table]))


def _year_column(raw: RawTable, own: headings.Aliases, table: str) -> int | None:
    places = [i for i, text in enumerate(raw.headings) if headings.is_year(text)]
    return places[0] if len(places) == 1 and headings.column_of(table, raw.headings[places[0]], own) is None else None


def _year_by_year(raw: RawTable, of_year: int, own: headings.Aliases, context: Context) -> tuple[RawTable, Findings]:
    """Lengthen the rows of each year by themselves, where a column says the year."""
    coded = encode(raw.columns[of_year])
    years = [years.pop() if len(years := stated.years_in(str(text))) == 1 else 0 for text in coded.values.to_pylist()]
    by_row = coded.spread(np.array(years, dtype=np.int64), missing=0)
    if len(by_row) == 0 or not by_row.all():
        row = int(raw.rows[int(np.argmin(by_row))]) if len(by_row) else None
        raise context.refuse("YEAR_UNKNOWN", observed=raw.headings[of_year], row=row)
    others = [i for i in range(len(raw.headings)) if i != of_year]
    parts = []
    for year in np.unique(by_row):
        mask = pa.array(by_row == year)
        rest = tuple(raw.columns[i].filter(mask) for i in others)
        part = replace(
            raw, headings=tuple(raw.headings[i] for i in others), columns=rest, rows=raw.rows[by_row == year]
        )
        parts.append(lengthen(replace(part, year=int(year)), own, context))
    joined = [_stacked(columns) for columns in zip(*(part.columns for part, _ in parts), strict=True)]
    rows = np.concatenate([part.rows for part, _ in parts])
    whole = replace(parts[0][0], columns=tuple(joined), rows=rows)
    return whole, Findings.concat(found for _, found in parts)


def _years(raw: RawTable, cells: Sequence[_Cell], context: Context) -> dict[int, int]:
    if all(cell.period.year is not None for cell in cells):
        return {cell.index: cell.period.year or 0 for cell in cells}
    year = raw.year if raw.year is not None else stated.only_year((*raw.above, raw.sheet, raw.file))
    if year is None:
        raise context.refuse("YEAR_UNKNOWN", observed=raw.headings[cells[0].index])
    return {cell.index: cell.period.year or year for cell in cells}


def _all_first_of_month(spans: dict[int, tuple[np.datetime64, np.datetime64]]) -> bool:
    """Whether days are months as a spreadsheet keeps them: 2026-01-01 shown as 2026年1月."""
    return len(spans) > 1 and all(start == start.astype("datetime64[M]") for start, _ in spans.values())


def _are_registers(measures: Sequence[str], own: headings.Aliases, table: str) -> bool:
    """Whether nothing but registers stands under the dates: 示数 under 2026-01-01 was read on that day."""
    return {headings.column_of(table, measure, own) for measure in measures} == {"register_kwh"}


def _whole(cell: _Cell, span: tuple[np.datetime64, np.datetime64]) -> tuple[np.datetime64, np.datetime64]:
    if cell.period.day is None:
        return span
    month = span[0].astype("datetime64[M]")
    return month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")


@dataclass(frozen=True, slots=True)
class _Long:
    raw: RawTable
    blank: int


def _long(
    raw: RawTable,
    cells: Sequence[_Cell],
    periods: Sequence[tuple[np.datetime64, np.datetime64]],
    place: dict[tuple[tuple[np.datetime64, np.datetime64], str], int],
    measures: Sequence[str],
    own: headings.Aliases,
    table: str,
) -> _Long:
    n, wide = len(raw.rows), {cell.index for cell in cells}
    kept = [i for i in range(len(raw.headings)) if i not in wide and not _is_total(raw.headings[i], own, table)]
    values = [
        _interleaved([_column(raw, place.get((period, measure)), n) for period in periods]) for measure in measures
    ]
    filled = np.flatnonzero(~np.logical_and.reduce([_is_blank(column) for column in values]))
    source, which = np.divmod(filled, len(periods))
    taken, all_filled = pa.array(source), len(filled) == n * len(periods)
    names, times = _time_columns(periods, which, measures, own, table)
    chosen = values if all_filled else [column.take(pa.array(filled)) for column in values]
    columns = [*(_coded(raw.columns[i]).take(taken) for i in kept), *times, *chosen]
    labels = (*(raw.headings[i] for i in kept), *names, *measures)
    return _Long(
        replace(raw, headings=labels, columns=tuple(columns), rows=raw.rows[source]), n * len(periods) - len(filled)
    )


def _column(raw: RawTable, index: int | None, n: int) -> pa.Array:
    if index is None:
        return pa.nulls(n, pa.string())
    column = raw.columns[index]
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _interleaved(columns: Sequence[pa.Array]) -> pa.Array:
    """Give the first cell of every column, then the second of every column."""
    if all(pa.types.is_floating(column.type) for column in columns):
        table = np.stack([column.to_numpy(zero_copy_only=False) for column in columns], axis=1)
        return pa.array(table.ravel(), from_pandas=True)
    n = len(columns[0])
    across = (np.arange(n)[:, None] + np.arange(len(columns)) * n).ravel()
    return _stacked(columns).take(pa.array(across))


def _stacked(columns: Sequence[pa.Array]) -> pa.Array:
    kinds = {column.type for column in columns}
    return pa.concat_arrays(columns if len(kinds) == 1 else [column.cast(pa.string()) for column in columns])


def _coded(column: pa.Array) -> pa.Array:
    return column.dictionary_encode() if pa.types.is_string(column.type) else column


def _is_blank(column: pa.Array) -> npt.NDArray[np.bool_]:
    if not pa.types.is_string(column.type):
        return np.asarray(column.is_null())
    text = pc.utf8_lower(tidy(column))
    nothing = pa.array(["", *(word.casefold() for word in schema.words("null"))])
    return np.asarray(pc.or_(pc.is_null(text), pc.is_in(text, value_set=nothing))).astype(bool)


def _time_columns(
    periods: Sequence[tuple[np.datetime64, np.datetime64]],
    which: npt.NDArray[np.int64],
    measures: Sequence[str],
    own: headings.Aliases,
    table: str,
) -> tuple[tuple[str, ...], list[pa.Array]]:
    """Give the columns that say when: a month where every period is one, else start and end; registers their day."""
    starts, ends = ([str(period[side]) for period in periods] for side in (0, 1))
    codes = pa.array(which.astype(np.int32))

    def coded(texts: Sequence[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(codes, pa.array(list(texts)))

    registers = _are_registers(measures, own, table)
    monthly = all(_is_month(period) for period in periods)
    if registers:
        return ("read_on",), [coded(ends if monthly else starts)]
    if table == "water_levels":
        return (("month",), [coded(starts)]) if monthly else (("date",), [coded(starts)])
    if monthly and table == "readings":
        return ("month",), [coded([text[:7] for text in starts])]
    return ("start", "end"), [coded(starts), coded(ends)]


def _is_month(period: tuple[np.datetime64, np.datetime64]) -> bool:
    first = period[0].astype("datetime64[M]")
    return bool(period[0] == first and period[1] == (first + 1))


def _is_total(heading: str, own: headings.Aliases, table: str) -> bool:
    """Whether a column beside the periods is their sum: it says so, or names the very thing that they hold."""
    return headings.is_total(heading) or headings.column_of(table, heading, own) in MEASURES[table]


def _totals_left(raw: RawTable, cells: Sequence[_Cell], own: headings.Aliases, context: Context) -> Findings:
    """Hold a printed total against the periods of its row (rounding of every cell allowed), and leave it out."""
    wide = {cell.index for cell in cells}
    totals = [i for i, text in enumerate(raw.headings) if i not in wide and _is_total(text, own, context.table)]
    if len(totals) != 1 or len({cell.measure for cell in cells}) != 1:
        return Findings.empty()
    printed = parse_numbers(raw.columns[totals[0]]).values
    summed = np.nansum([parse_numbers(raw.columns[cell.index]).values for cell in cells], axis=0)
    differs = np.flatnonzero(np.abs(printed - summed) > np.maximum(0.5 * len(cells), 1e-6 * np.abs(summed)))
    return context.finding(
        "SUM_DIFF", row=raw.rows[differs], observed=summed[differs], limit=printed[differs],
        column=raw.headings[totals[0]],
    )  # fmt: skip
