"""Ledgers of uses that write registers and no energy (起码, 止码): reads of the meter on either side of each day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from elec2water.findings import Findings
from elec2water.tables.typed import TypedTable

if TYPE_CHECKING:
    from elec2water.tables.context import Context

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_DAY_S = 86_400
_SAME = 1e-6


@dataclass(frozen=True, slots=True)
class _Days:
    """Days of use of meters, n of them in order: the registers before and after, and the rows that wrote them."""

    meter: Ints
    day: Ints
    before: Floats
    after: Floats
    first: Ints
    last: Ints


def reads_of_uses(table: TypedTable, context: Context) -> tuple[TypedTable, Findings]:
    """Turn uses that write a register at their start and end into reads: before their day and after it.

    The energy between two uses is then known as well: none where the register stood still, and what nobody wrote down
    where it moved on. A meter's first and last month count as whole, as those of other logs do.

    Parameters
    ----------
    table : TypedTable
        Readings, with the day of each use.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        Two reads for each day of use in place of its uses; one where the next day begins as the last has ended.
    Findings
        ``USES_BY_REGISTER``; ``USES_MISSING`` where a register moved between uses.
    """
    start, end = table.numbers("register_start_kwh"), table.numbers("register_end_kwh")
    use = ~np.isnan(start) & ~np.isnan(end) & np.isnan(table.numbers("energy_kwh")) & ~table.is_blank("meter_id")
    use &= np.isnan(table.numbers("metered_kwh")) & ~np.isnat(table.dates("used_on"))
    use &= np.isnat(table.dates("read_on")) & (np.isnat(table.dates("start")) | np.isnat(table.dates("end")))
    if not use.any():
        return table, Findings.empty()
    days = _by_day(table, np.flatnonzero(use), start, end)
    same = days.meter[1:] == days.meter[:-1]
    step = np.where(same, days.before[1:] - days.after[:-1], 0.0)
    follows = same & (days.day[1:] == days.day[:-1] + 1)
    opens = np.append(True, ~(follows & (step > -_SAME)))
    table = table.with_columns(read_on=table.dates("read_on"), register_kwh=table.numbers("register_kwh"))
    reads = table.keep(~use)
    for at, day, register in (
        (days.first[opens], _opening(days, same)[opens], days.before[opens]),
        (days.last, _closing(days, same), days.after),
    ):
        reads = reads.stacked(_reads(table, at, day, register))
    moved = np.append(False, np.abs(step) > _SAME)
    found = context.finding(
        "USES_BY_REGISTER", observed=int(use.sum()), limit=len(np.unique(days.meter)), row=int(table.rows[use][0])
    )
    if moved.any():
        found += context.finding(
            "USES_MISSING", **table.place(days.first[moved]), observed=days.before[moved],
            limit=days.after[np.flatnonzero(moved) - 1],
        )  # fmt: skip
    return reads, found


def _by_day(table: TypedTable, at: Ints, start: Floats, end: Floats) -> _Days:
    """Join the uses of a meter's day: by their registers, or in their order on a day on which one fell."""
    meter = table.codes("meter_id")[at]
    moment = table.dates("used_on")[at].astype("datetime64[s]").astype(np.int64)
    order = np.lexsort((at, moment, meter))
    at, meter, day = at[order], meter[order], moment[order] // _DAY_S
    new = np.append(True, (np.diff(meter) != 0) | (np.diff(day) != 0))
    head = np.flatnonzero(new)
    tail = np.append(head[1:], len(at)) - 1
    fell = np.logical_or.reduceat(end[at] < start[at], head)
    before = np.where(fell, start[at[head]], np.minimum.reduceat(start[at], head))
    after = np.where(fell, end[at[tail]], np.maximum.reduceat(end[at], head))
    return _Days(meter[head], day[head], before, after, at[head], at[tail])


def _opening(days: _Days, same: Mask) -> Ints:
    """Give the days on which registers stood as before a use; the first of a meter counts from its month's first."""
    month = days.day.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return np.where(np.append(True, ~same), month, days.day)


def _closing(days: _Days, same: Mask) -> Ints:
    after = (days.day.astype("datetime64[D]").astype("datetime64[M]") + 1).astype("datetime64[D]").astype(np.int64)
    return np.where(np.append(~same, True), after, days.day + 1)


def _reads(table: TypedTable, at: Ints, day: Ints, register: Floats) -> TypedTable:
    order = np.argsort(at)
    mask = np.zeros(len(table), dtype=bool)
    mask[at] = True
    rows = table.keep(mask)
    nothing, never = np.full(len(rows), np.nan), np.full(len(rows), np.datetime64("NaT", "s"))
    return rows.with_columns(
        read_on=day[order].astype("datetime64[D]").astype("datetime64[s]"),
        register_kwh=register[order],
        register_start_kwh=nothing,
        register_end_kwh=nothing,
        used_on=never,
    )
