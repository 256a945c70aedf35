"""Ends of periods as people write them: the last day itself, or its last minute, where the day after is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from elec2water.findings import Findings

if TYPE_CHECKING:
    from elec2water.tables.context import Context
    from elec2water.tables.typed import TypedTable

Days = npt.NDArray[np.datetime64]
Mask = npt.NDArray[np.bool_]

FEWEST = 3
"""Periods of a file from which on they tell how its ends are meant."""
MOST = 0.9
"""Part of them that must agree."""
_DAY = np.timedelta64(1, "D")
_LAST_MINUTE = np.timedelta64(86_340, "s")


def exclusive_ends(table: TypedTable, context: Context) -> tuple[TypedTable, Findings]:
    """Give the day after where a file writes the last day of its periods (1 July to 31 July), or its last minute.

    A file writes last days where nine in ten of its periods end the day before the same day of a month, or where the
    next period of a meter begins the day after; and hardly any begins on the day on which the last one ended.

    Parameters
    ----------
    table : TypedTable
        Readings or pairs.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        ``end`` (and ``read_on``) as the first day that does not belong to the period.
    Findings
        ``END_INCLUSIVE``, a warning for each file.
    """
    table = _past_midnight(table)
    if "start" not in table or "end" not in table:
        return table, Findings.empty()
    start, end = (table.dates(name).astype("datetime64[D]") for name in ("start", "end"))
    known = np.flatnonzero(~np.isnat(start) & ~np.isnat(end))
    if len(known) < FEWEST:
        return table, Findings.empty()
    moved, found = np.zeros(len(table), dtype=bool), []
    after = (end + _DAY).astype("datetime64[D]")
    same_day, day_before = _day(start) == _day(end), _day(start) == _day(after)
    touching, apart = _successions(table, start, end, known)
    for code in np.unique(table.file_codes[known]):
        rows = known[table.file_codes[known] == code]
        meets, follows = int(touching[rows].sum()), int(apart[rows].sum())
        by_day = day_before[rows].sum() >= MOST * len(rows) and same_day[rows].sum() <= (1 - MOST) * len(rows)
        by_next = follows >= FEWEST and follows >= MOST * (meets + follows)
        if len(rows) >= FEWEST and (by_day or by_next) and meets <= (1.0 - MOST) * (meets + follows):
            moved[rows] = True
            found.append(
                context.finding(
                    "END_INCLUSIVE", file=table.files[code], row=int(table.rows[rows[0]]), observed=len(rows)
                )
            )
    if not found:
        return table, Findings.empty()
    return table.with_columns(end=np.where(moved, table.dates("end") + _DAY, table.dates("end"))), Findings.concat(
        found
    )


def _past_midnight(table: TypedTable) -> TypedTable:
    """Take the last minute of a day as the midnight that follows it."""
    for name in ("end", "read_on"):
        days = table.dates(name)
        late = days - days.astype("datetime64[D]") >= _LAST_MINUTE
        if name in table and late.any():
            table = table.with_columns(**{name: np.where(late, days.astype("datetime64[D]") + _DAY, days)})
    return table


def _day(days: Days) -> npt.NDArray[np.int64]:
    """Day of the month, from 0."""
    return np.asarray((days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64))


def _successions(table: TypedTable, start: Days, end: Days, known: npt.NDArray[np.int64]) -> tuple[Mask, Mask]:
    """Tell after which periods the next of the same meter (or well) begins on the day of the end, or a day later."""
    meter = table.codes("meter_id" if "meter_id" in table else "well_id")
    order = known[np.lexsort((start[known], meter[known]))]
    same = meter[order[1:]] == meter[order[:-1]]
    gap = (start[order[1:]] - end[order[:-1]]).astype(np.int64)
    touching, apart = np.zeros(len(table), dtype=bool), np.zeros(len(table), dtype=bool)
    touching[order[:-1]] = same & (gap == 0)
    apart[order[:-1]] = same & (gap == 1)
    return touching, apart
