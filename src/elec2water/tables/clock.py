"""Hours in columns of their own: 抄表日期 beside 抄表时间, 灌溉日期 beside 开机时间 and 停机时间, joined to moments."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from elec2water import schema
from elec2water.findings import Findings
from elec2water.tables import headings
from elec2water.tables.dates import parse_dates
from elec2water.tables.parse import encode

if TYPE_CHECKING:
    from elec2water.tables.context import Context
    from elec2water.tables.raw import RawTable

Seconds = npt.NDArray[np.int64]
Moments = npt.NDArray[np.datetime64]

_HOUR = re.compile(r"(上午|下午)?(\d{1,2})[:时点](?:(\d{1,2})分?(?::?(\d{1,2})秒?)?|(半))?(?:\.0+)?", re.IGNORECASE)
_DATED = ("read_on", "used_on", "start", "end")
_LOOKED_AT = 200
"""Cells that show whether a column holds hours."""
_NO_HOUR = -1
_DAY_S = 86_400


def with_hours(raw: RawTable, own: headings.Aliases, context: Context) -> tuple[RawTable, Findings]:
    """Join columns of hours to the days beside them.

    The day of an hour is the column of the same meaning (抄表日期 and 抄表时间), else the day of use or reading;
    an hour of the end before that of the start is one of the next day.

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
        With moments in place of the hours.
    Findings
        None: what a column was joined to shows in its values.
    """
    if context.table != "readings":
        return raw, Findings.empty()
    meanings = [_meaning(text, own) for text in raw.headings]
    hours = [i for i, name in enumerate(meanings) if name and _holds_hours(raw.columns[i])]
    days = [i for i, name in enumerate(meanings) if name in _DATED and i not in hours]
    pairs = {i: j for i in hours if (j := _day_of(i, meanings, days)) is not None}
    if not pairs:
        return raw, Findings.empty()
    columns = list(raw.columns)
    begun: Moments | None = None
    for i, j in sorted(pairs.items(), key=lambda item: meanings[item[0]] == "end"):
        moment = _joined(raw.columns[j], raw.columns[i], whole_day=meanings[i] not in {"start", "end"})
        if meanings[i] == "end" and begun is not None and meanings[j] != "end":
            moment = np.where(moment < begun, moment + _DAY_S, moment)
        begun = moment if meanings[i] == "start" else begun
        columns[_place(i, j, meanings)] = _written(moment, raw.columns[j])
    left = [i for i in range(len(columns)) if i not in pairs or _place(i, pairs[i], meanings) == i]
    return replace(
        raw, headings=tuple(raw.headings[i] for i in left), columns=tuple(columns[i] for i in left)
    ), Findings.empty()


def _meaning(text: str, own: headings.Aliases) -> str | None:
    """Give the dated column that a heading is, or ``hour`` for one that names hours alone."""
    column = headings.column_of("readings", text, own)
    if column is not None:
        return column if column in _DATED else None
    words = {headings.normal(word) for word in schema.words("hour_heading")}
    return "hour" if headings.normal(text) in words else None


def _day_of(at: int, meanings: list[str | None], days: list[int]) -> int | None:
    """Find the column of days that a column of hours belongs to."""
    same = [j for j in days if meanings[j] == meanings[at]]
    if same:
        return same[0]
    if meanings[at] == "hour":
        before = [j for j in days if j < at]
        return before[-1] if before else None
    wanted = {"start": ("used_on", "read_on"), "end": ("used_on", "read_on", "start")}.get(meanings[at] or "", ())
    return next((j for name in wanted for j in days if meanings[j] == name), None)


def _place(hour: int, day: int, meanings: list[str | None]) -> int:
    """Say which column the moments stand in: an hour of a start or end beside one day keeps its own."""
    return hour if meanings[hour] in {"start", "end"} and meanings[day] != meanings[hour] else day


def _holds_hours(column: pa.Array) -> bool:
    if not (pa.types.is_string(column.type) or pa.types.is_dictionary(column.type)):
        return False
    cells = column.slice(0, _LOOKED_AT).cast(pa.string()).to_pylist()
    filled = [cell for cell in cells if cell and cell.strip()]
    return bool(filled) and all(_seconds(cell) != _NO_HOUR for cell in filled)


def _seconds(text: str) -> int:
    """Give the seconds of a day that an hour such as 8:05, 下午3时 or 8点半 is; -1 where it is none."""
    match = _HOUR.fullmatch("".join(unicodedata.normalize("NFKC", text).split()))
    if match is None:
        return _NO_HOUR
    hour, minute, second = int(match[2]), 30 if match[5] else int(match[3] or 0), int(match[4] or 0)
    hour += 12 if match[1] == "下午" and hour < 12 else 0
    last = hour == 24 and minute == second == 0
    return hour * 3600 + minute * 60 + second if (hour < 24 or last) and minute < 60 and second < 60 else _NO_HOUR


def _joined(day: pa.Array, hour: pa.Array, *, whole_day: bool) -> Moments:
    """Give moments; where the hour cannot be read, the day itself if that will do, else none."""
    coded = encode(hour)
    known = np.array([_seconds(text or "") for text in coded.values.to_pylist()], dtype=np.int64)
    seconds: Seconds = coded.spread(known, missing=_NO_HOUR)
    days = parse_dates(day).values.astype("datetime64[s]")
    plain = days.astype("datetime64[D]").astype("datetime64[s]")
    unread = days if whole_day else np.full(len(days), np.datetime64("NaT", "s"))
    return np.where(seconds == _NO_HOUR, unread, plain + np.maximum(seconds, 0))


def _written(moment: Moments, day: pa.Array) -> pa.Array:
    """Write moments as text; a day that cannot be read stays as it stands, to be reported."""
    text = pa.array(np.where(np.isnat(moment), "", moment.astype(str)).astype(object), pa.string())
    return pc.if_else(pa.array(np.isnat(moment)), day.cast(pa.string()), text).dictionary_encode()
