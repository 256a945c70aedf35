"""The period of readings that their rows do not say: from the title, the sheet or the file, and bare months."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from elec2water import schema
from elec2water.findings import Findings
from elec2water.tables import headings, stated
from elec2water.tables.dates import parse_dates
from elec2water.tables.parse import encode

if TYPE_CHECKING:
    from elec2water.tables.context import Context
    from elec2water.tables.raw import RawTable
    from elec2water.tables.typed import TypedTable

_BARE_MONTH = re.compile(r"^\s*(\d{1,2})\s*(月份?)?\s*$")
_DAY = r"(?:19|20)\d\d(?:[-./年]\d{1,2}[-./月]\d{1,2}日?|\d{4})"
_SPAN = re.compile(rf"[(\[]?({_DAY})(?:-{{1,2}}|–|—+|~|～|至|到|/)({_DAY})[)\]]?")
_DATED = {"read_on", "start", "end", "month", "used_on"}


def with_period(raw: RawTable, own: headings.Aliases, context: Context) -> tuple[RawTable, Findings]:
    """Give every row of readings (or pairs) the period that the sheet tells for all of them.

    Parameters
    ----------
    raw : RawTable
        Long.
    own : Aliases
        The project's own headings.
    context : Context
        For the findings.

    Returns
    -------
    RawTable
        With a column for the month (or the start and end of a quarter, or the day of the registers) where there was
        none; months without a year get the one that a column, the title, the sheet or the file says.
    Findings
        A warning that says what was taken from where.
    """
    if context.table not in {"readings", "pairs"}:
        return raw, Findings.empty()
    raw = _spans_apart(raw, own, context.table)
    if context.table == "pairs":
        return _pairs_by_month(raw, own)
    columns = [headings.column_of("readings", text, own) for text in raw.headings]
    if "month" in columns:
        return _months_with_year(raw, columns.index("month"), context)
    if _DATED & set(columns):
        return raw, Findings.empty()
    said = (*raw.above, raw.sheet, raw.file)
    span = _span(said)
    if span is None:
        _refuse_no_year(raw, said, context)
        return raw, Findings.empty()
    registers = "energy_kwh" not in columns and "register_kwh" in columns
    names, texts = (("read_on",), (str(span[1]),)) if registers else (("start", "end"), (str(span[0]), str(span[1])))
    if not registers and span[1] - span[0] < np.timedelta64(32, "D"):
        names, texts = ("month",), (str(span[0])[:7],)
    added = tuple(_constant(text, len(raw.rows)) for text in texts)
    found = context.finding("PERIOD_FROM_NAME", observed=" – ".join(texts), row=None)
    return replace(raw, headings=(*raw.headings, *names), columns=(*raw.columns, *added)), found


def _refuse_no_year(raw: RawTable, said: tuple[str, ...], context: Context) -> None:
    """Refuse rows whose only month is that of a title or sheet, such as 7月, where nothing tells the year."""
    named = next((text for text in said if stated.period_in(text) is not None), None)
    known = {headings.column_of("readings", text, ()) for text in raw.headings}
    if named is not None and "energy_kwh" in known:
        raise context.refuse("YEAR_UNKNOWN", observed=named)


def _spans_apart(raw: RawTable, own: headings.Aliases, table: str) -> RawTable:
    """Give two columns for one of both days of a period (2026.07.01-2026.07.31); other cells stay to be seen."""
    columns = [headings.column_of(table, text, own) for text in raw.headings]
    words = {headings.normal(word) for word in schema.words("period_heading")}
    named = [i for i, text in enumerate(raw.headings) if headings.normal(text) in words or columns[i] == "month"]
    for at in named:
        coded = encode(raw.columns[at])
        spans = [_SPAN.fullmatch("".join((text or "").split())) for text in coded.values.to_pylist()]
        if not any(spans) or {"start", "end"} & set(columns):
            continue
        texts = [
            [match[side] if match else text for match, text in zip(spans, coded.values.to_pylist(), strict=True)]
            for side in (1, 2)
        ]
        codes = pa.array(coded.codes.astype(np.int32), mask=coded.codes < 0)
        two = (pa.DictionaryArray.from_arrays(codes, pa.array(side, pa.string())) for side in texts)
        others = [i for i in range(len(raw.headings)) if i != at]
        return replace(
            raw,
            headings=(*(raw.headings[i] for i in others), "start", "end"),
            columns=(*(raw.columns[i] for i in others), *two),
        )
    return raw


def _span(said: tuple[str, ...]) -> tuple[np.datetime64, np.datetime64] | None:
    month = stated.only_month(said)
    if month is not None:
        return month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")
    for text in said:
        found = stated.period_in(text)
        if found is not None and found.quarter is not None:
            year = found.year or stated.only_year(said)
            return stated.bounds(found, year) if year is not None else None
    return None


def _constant(text: str, size: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(size, np.int32)), pa.array([text]))


def _months_with_year(raw: RawTable, at: int, context: Context) -> tuple[RawTable, Findings]:
    """Read 7月, or 7, in a column of months as that month of the year told elsewhere."""
    coded = encode(raw.columns[at])
    bare = [_BARE_MONTH.match(text or "") for text in coded.values.to_pylist()]
    known = [match is not None and 1 <= int(match[1]) <= 12 for match in bare]
    if not any(known):
        return raw, Findings.empty()
    years = _years_by_row(raw)
    number = np.array([int(match[1]) if match and good else 0 for match, good in zip(bare, known, strict=True)])
    month = coded.spread(number, missing=0)
    if (years[month > 0] == 0).any():
        row = int(raw.rows[int(np.argmax((month > 0) & (years == 0)))])
        raise context.refuse("YEAR_UNKNOWN", observed=raw.headings[at], row=row)
    as_written = np.array([text or "" for text in coded.values.to_pylist()] + [""], dtype=object)[coded.codes]
    dated = (years * 12 + np.maximum(month, 1) - 1 - 1970 * 12).astype("datetime64[M]").astype(str)
    column = pa.array(np.where(month > 0, dated, as_written), type=pa.string()).dictionary_encode()
    columns = tuple(column if i == at else other for i, other in enumerate(raw.columns))
    return replace(raw, columns=columns), context.finding("YEAR_TAKEN", observed=int((month > 0).sum()))


def _years_by_row(raw: RawTable) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Give the year of every row, 0 where it is not told."""
    places = [i for i, text in enumerate(raw.headings) if headings.is_year(text)]
    if len(places) == 1:
        coded = encode(raw.columns[places[0]])
        said = [stated.only_year([str(text)]) or 0 for text in coded.values.to_pylist()]
        return np.asarray(coded.spread(np.array(said, dtype=np.int64), missing=0))
    year = stated.only_year((*raw.above, raw.sheet, raw.file))
    return np.full(len(raw.rows), year or 0, dtype=np.int64)


def _pairs_by_month(raw: RawTable, own: headings.Aliases) -> tuple[RawTable, Findings]:
    """Take a month in pairs as its first day and the first of the next, where no dates are given."""
    columns = [headings.column_of("pairs", text, own) for text in raw.headings]
    months = [
        i
        for i, text in enumerate(raw.headings)
        if columns[i] is None and headings.column_of("readings", text, ()) == "month"
    ]
    if {"start", "end"} & set(columns) or len(months) != 1:
        return raw, Findings.empty()
    first = parse_dates(raw.columns[months[0]], months=True).values.astype("datetime64[M]")
    start, end = (_text_of(dates) for dates in (first, first + 1))
    kept = [i for i in range(len(raw.headings)) if i != months[0]]
    names = (*(raw.headings[i] for i in kept), "start", "end")
    return replace(raw, headings=names, columns=(*(raw.columns[i] for i in kept), start, end)), Findings.empty()


def _text_of(months: np.ndarray[tuple[int], np.dtype[np.datetime64]]) -> pa.DictionaryArray:
    days = months.astype("datetime64[D]")
    text = days.astype(str).astype(object)
    text[np.isnat(days)] = None
    return pa.array(text, type=pa.string()).dictionary_encode()


def outside_title(table: TypedTable, raw: RawTable, context: Context) -> Findings:
    """Refuse a table whose title names a quarter that its rows leave: the file of another quarter, or two in one."""
    said = [found for text in raw.above if (found := stated.period_in(text)) is not None and found.quarter is not None]
    if len(said) != 1 or context.table not in {"readings", "pairs"}:
        return Findings.empty()
    year = said[0].year or stated.only_year((*raw.above, raw.sheet, raw.file))
    if year is None:
        return Findings.empty()
    first, end = (day.astype("datetime64[s]") for day in stated.bounds(said[0], year))
    month, start = table.dates("month"), table.dates("start")
    begins = np.where(np.isnat(month), start, month)
    outside = np.flatnonzero((begins < first - np.timedelta64(7, "D")) | (begins >= end))
    return context.finding(
        "PERIOD_MISMATCH", **table.place(outside), observed=begins[outside], limit=f"{year}Q{said[0].quarter}"
    )
