"""Logs of pumping (cards swiped at a well, the ledger of an association): many uses, summed by meter and month."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from elec2water.findings import Findings
from elec2water.tables.typed import TypedTable

if TYPE_CHECKING:
    from elec2water.tables.context import Context

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Months = npt.NDArray[np.datetime64]

_MOST = 0.9
"""Part of the dated rows of a file that must be shorter than a day for it to be a log."""
_SHORT_S = 23 * 3600
_NIGHT_S = 3 * 86_400


def uses_by_day(table: TypedTable, context: Context) -> tuple[TypedTable, Findings]:
    """Date a use that lasts hours (开泵 … 关泵) by the day on which it began, where a file holds such uses.

    Parameters
    ----------
    table : TypedTable
        Readings.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        With ``used_on`` instead of start and end in the rows of such files that last less than three days.
    Findings
        None: what is made of the uses is said when they are summed.
    """
    del context
    if "start" not in table or "end" not in table:
        return table, Findings.empty()
    start, end = table.dates("start"), table.dates("end")
    seconds = (end - start).astype("timedelta64[s]", copy=False).view(np.int64)
    # a missing difference is the smallest number there is
    short = (seconds >= 0) & (seconds < _SHORT_S)
    if not short.any() or not (_timed(start[short]) | _timed(end[short])).any():
        return table, Findings.empty()
    size, dated = len(table.files), ~np.isnat(start) & ~np.isnat(end)
    count, of_hours = (np.bincount(table.file_codes[mask], minlength=size) for mask in (dated, short))
    log = np.flatnonzero(of_hours >= _MOST * np.maximum(count, 1))
    use = np.isin(table.file_codes, log) & (seconds >= 0) & (seconds < _NIGHT_S)
    if not use.any():
        return table, Findings.empty()
    never = np.datetime64("NaT", "s")
    used = np.where(use, start, table.dates("used_on"))
    table = table.with_columns(used_on=used, start=np.where(use, never, start), end=np.where(use, never, end))
    return table, Findings.empty()


def _timed(days: npt.NDArray[np.datetime64]) -> Mask:
    return np.asarray(days != days.astype("datetime64[D]"))


def sum_of_uses(table: TypedTable, context: Context) -> tuple[TypedTable, Findings]:
    """Sum uses by meter and month; a month between the first use of a meter and the last of the log without any is 0.

    Parameters
    ----------
    table : TypedTable
        Readings, settled.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        A row for each meter and month in place of the uses, that of its first use; without energy where a use has none.
    Findings
        ``USES_SUMMED``, a warning that says what was assumed.
    """
    if "used_on" not in table:
        return table, Findings.empty()
    used = ~np.isnat(table.dates("used_on")) & np.isnat(table.dates("read_on"))
    used &= np.isnat(table.dates("start")) | np.isnat(table.dates("end"))
    if not used.any():
        return table.without("used_on"), Findings.empty()
    uses, rest = table.keep(used), table.keep(~used)
    month = uses.dates("used_on").astype("datetime64[M]")
    first, span = month.min(), int((month.max() - month.min()).astype(np.int64)) + 1
    place = (month - first).astype(np.int64)
    meter = uses.codes("meter_id")
    key, at, group = np.unique((meter + 1) * span + place, return_index=True, return_inverse=True)
    sums = np.asarray(np.bincount(group, weights=uses.numbers("energy_kwh")), dtype=np.float64)
    order = np.argsort(at)
    summed = _of_months(uses.keep(np.isin(np.arange(len(uses)), at)), month[at[order]], sums[order])
    resting = [_resting(uses, meter, key, place, number, first) for number in range(span)]
    whole = summed
    for part in resting:
        whole = whole.stacked(part) if len(part) else whole
    found = context.finding(
        "USES_SUMMED", observed=len(uses), limit=len(summed), resting=sum(map(len, resting)), row=int(uses.rows[0]),
        period=f"{first} – {month.max()}",
    )  # fmt: skip
    whole = whole.stacked(rest.with_columns(**_dates_of(rest))) if len(rest) else whole
    return whole.without("used_on"), found


def _dates_of(table: TypedTable) -> dict[str, npt.NDArray[np.datetime64]]:
    return {name: table.dates(name) for name in ("start", "end")}


def _of_months(rows: TypedTable, month: Months, energy: Floats) -> TypedTable:
    start, end = ((month + step).astype("datetime64[s]") for step in (0, 1))
    return rows.with_columns(start=start, end=end, energy_kwh=energy)


def _resting(
    uses: TypedTable,
    meter: npt.NDArray[np.int64],
    key: npt.NDArray[np.int64],
    place: npt.NDArray[np.int64],
    number: int,
    first: np.datetime64,
) -> TypedTable:
    """Give a row of no energy for each meter that was used before a month and not in it."""
    span = int(place.max()) + 1
    codes, at, index = np.unique(meter, return_index=True, return_inverse=True)
    begins = np.full(len(codes), span)
    np.minimum.at(begins, index, place)
    idle = (codes >= 0) & (begins < number) & ~np.isin((codes + 1) * span + number, key)
    rows = uses.keep(np.isin(np.arange(len(uses)), at[idle]))
    return _of_months(rows, np.full(len(rows), first + number), np.zeros(len(rows)))
