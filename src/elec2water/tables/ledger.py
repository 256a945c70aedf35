"""Ledgers of uses that write registers and no energy (起码, 止码): reads of the meter on either side of each day."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    where it moved on. A register that is lower at the next use is another meter's, and nothing was used between. A
    meter's first and last month count as whole, as those of other logs do.

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
    if not {"register_start_kwh", "register_end_kwh", "used_on"} <= set(table.columns):
        return table, Findings.empty()
    start, end = table.numbers("register_start_kwh"), table.numbers("register_end_kwh")
    use = ~np.isnan(start) & ~np.isnan(end) & np.isnan(table.numbers("energy_kwh")) & ~table.is_blank("meter_id")
    use &= np.isnan(table.numbers("metered_kwh")) & ~np.isnat(table.dates("used_on"))
    use &= np.isnat(table.dates("read_on")) & (np.isnat(table.dates("start")) | np.isnat(table.dates("end")))
    if not use.any():
        return table, Findings.empty()
    days = _by_day(table, np.flatnonzero(use), start, end)
    same = days.meter[1:] == days.meter[:-1]
    step = np.where(same, days.before[1:] - days.after[:-1], 0.0)
    whole = _joined_on(days, same, step)
    opens, closes, month = _ends_read(whole, same)
    table = table.with_columns(read_on=table.dates("read_on"), register_kwh=table.numbers("register_kwh"))
    reads = table.keep(~use)
    for which, at, day, register in (
        (opens, days.first, np.where(month, _edge(days.day, 0), _opening(days, same)), whole.before),
        (closes, days.last, np.where(month, _edge(days.day, 1), _closing(days, same)), whole.after),
    ):
        reads = reads.stacked(_reads(table, at[which], day[which], register[which]))
    found = context.finding(
        "USES_BY_REGISTER", observed=int(use.sum()), limit=len(np.unique(days.meter)), row=int(table.rows[use][0])
    )
    for rule, moved in (("USES_MISSING", step > _SAME), ("USES_MISSING@FELL", step < -_SAME)):
        at = np.flatnonzero(moved) + 1
        if len(at):
            where = table.place(days.first[at])
            found += context.finding(rule, **where, observed=days.before[at], limit=days.after[at - 1])
    return reads, found


def _joined_on(days: _Days, same: Mask, step: Floats) -> _Days:
    """Let a register that is lower at the next use (an exchange) go on from where the last one stood."""
    fallen = np.append(0.0, np.cumsum(np.where(step < -_SAME, -step, 0.0)))
    head = np.flatnonzero(np.append(True, ~same))
    base = np.repeat(fallen[head], np.diff(np.append(head, len(days.meter))))
    return replace(days, before=days.before + fallen - base, after=days.after + fallen - base)


def _ends_read(days: _Days, same: Mask) -> tuple[Mask, Mask, Mask]:
    """Tell which days give a read before and after them, and which of these stand for their month as a whole.

    A use whose register fell (it rolled over, or one of the two is wrong) is settled with its month: the other days of
    the month, of which all is known, do not tell what was used on this one.
    """
    month = days.day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    new = np.append(True, ~same | (month[1:] != month[:-1]))
    group = np.cumsum(new) - 1
    settled = (np.bincount(group, weights=days.after < days.before) > 0)[group]
    follows = np.append(False, same & (days.day[1:] == days.day[:-1] + 1))
    opens = np.where(settled, new, ~follows)
    closes = np.where(settled, np.append(new[1:], new[:1]), ~np.zeros_like(new))
    return opens, closes, settled


def _edge(day: Ints, step: int) -> Ints:
    """Give the first day of the month of each day, or of the one after."""
    month = day.astype("datetime64[D]").astype("datetime64[M]") + step
    return np.asarray(month.astype("datetime64[D]").astype(np.int64))


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
    return np.where(np.append(True, ~same), _edge(days.day, 0), days.day)


def _closing(days: _Days, same: Mask) -> Ints:
    """Give the days on which registers stood as after a use; the last of a meter counts to the end of its month."""
    return np.where(np.append(~same, True), _edge(days.day, 1), days.day + 1)


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
