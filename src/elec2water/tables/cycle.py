"""Energies dated by the day of reading alone: each runs from the meter's reading before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from elec2water.findings import Findings

if TYPE_CHECKING:
    from elec2water.tables.context import Context
    from elec2water.tables.typed import TypedTable

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_MONTHLY = (27, 32)
"""Days from one reading to the next of meters read once a month."""
_SKIPPED = 1.5
"""Cycles without a reading after which an energy is that of its own cycle alone, unless the registers join."""
_SAME = 1e-6


def first_of_the_day(table: TypedTable, context: Context) -> tuple[TypedTable, Findings]:
    """Keep the first of several reads that a meter has at different hours of a day: registers count from its start.

    Where the register falls within the day all stay: it was exchanged, or a read is wrong.

    Returns
    -------
    tuple of TypedTable and Findings
        ``READS_WITHIN_DAY`` (info) with the count of the others.
    """
    if "read_on" not in table or "register_kwh" not in table:
        return table, Findings.empty()
    moment = table.dates("read_on")
    known = ~np.isnat(moment) & ~table.is_blank("meter_id") & ~np.isnan(table.numbers("register_kwh"))
    day = moment.astype("datetime64[D]")
    if not (known & (moment != day)).any():
        return table, Findings.empty()
    at = np.flatnonzero(known)
    seconds, meter = moment[at].astype(np.int64), table.codes("meter_id")[at]
    order = np.lexsort((at, seconds, meter))
    at, meter, seconds, days = at[order], meter[order], seconds[order], day[at[order]]
    opens = np.append(True, (np.diff(meter) != 0) | (days[1:] != days[:-1]))
    group = np.cumsum(opens) - 1
    first = seconds[np.flatnonzero(opens)[group]]
    fell = np.append(False, np.diff(table.numbers("register_kwh")[at]) < 0) & ~opens
    runs_on = np.bincount(group, weights=fell)[group] == 0
    later = at[(seconds != first) & runs_on]
    if not len(later):
        return table, Findings.empty()
    mask = np.ones(len(table), dtype=bool)
    mask[later] = False
    return table.keep(mask), context.finding("READS_WITHIN_DAY", observed=len(later), row=int(table.rows[later].min()))


def since_last_read(table: TypedTable, context: Context) -> tuple[TypedTable, Findings]:
    """Give energies (or two registers) dated by their reading alone the period since the meter's reading before.

    Where readings are a day apart the energy is that of the day. The first reading of a meter, and one after a gap that
    the registers do not bridge, has the usual cycle of the file: a month where meters are read once a month.

    Parameters
    ----------
    table : TypedTable
        Readings.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        With start and end of these rows.
    Findings
        ``READ_CYCLE_ASSUMED``, a warning with the count of periods whose start was taken from the cycle.
    """
    if "read_on" not in table:
        return table, Findings.empty()
    use = ~np.isnat(table.dates("read_on")) & np.isnat(table.dates("start")) & np.isnat(table.dates("end"))
    use &= np.isnat(table.dates("month")) & ~table.is_blank("meter_id")
    states = ~np.isnan(table.numbers("energy_kwh")) | ~np.isnan(table.numbers("metered_kwh"))
    both = ~np.isnan(table.numbers("register_start_kwh")) & ~np.isnan(table.numbers("register_end_kwh"))
    use &= (states & np.isnan(table.numbers("register_kwh"))) | both
    if not use.any():
        return table, Findings.empty()
    at = np.flatnonzero(use)
    day = table.dates("read_on")[at].astype("datetime64[D]").astype(np.int64)
    meter = table.codes("meter_id")[at]
    order = np.lexsort((at, day, meter))
    at, day, meter = at[order], day[order], meter[order]
    start, assumed = _starts(table, at, day, meter)
    begins, ends = table.dates("start").copy(), table.dates("end").copy()
    daily = start == day
    begins[at] = start.astype("datetime64[D]").astype("datetime64[s]")
    ends[at] = (day + daily).astype("datetime64[D]").astype("datetime64[s]")
    read = table.dates("read_on").copy()
    read[at] = np.datetime64("NaT", "s")
    table = table.with_columns(start=begins, end=ends, read_on=read)
    if not assumed.any():
        return table, Findings.empty()
    found = context.finding(
        "READ_CYCLE_ASSUMED", observed=int(assumed.sum()), row=int(table.rows[at[assumed]].min()), limit=len(at)
    )
    return table, found


def _starts(table: TypedTable, at: Ints, day: Ints, meter: Ints) -> tuple[Ints, Mask]:
    """Give the first day of every period (its own day where readings are daily), and which were not read."""
    same = np.append(False, (meter[1:] == meter[:-1]) & (day[1:] > day[:-1]))
    gap = np.append(0, np.diff(day))
    cycle = float(np.median(gap[same])) if same.any() else 30.0
    if cycle <= 1.0:
        return day, np.zeros(len(day), dtype=bool)
    opened, closed = table.numbers("register_start_kwh")[at], table.numbers("register_end_kwh")[at]
    joins = np.append(False, np.abs(opened[1:] - closed[:-1]) <= _SAME)
    follows = same & ((gap <= _SKIPPED * cycle) | joins)
    earlier = np.append(day[:1], day[:-1])
    monthly = _MONTHLY[0] <= cycle <= _MONTHLY[1]
    usual = _month_before(day) if monthly else day - round(cycle)
    return np.where(follows, earlier, usual), ~follows


def _month_before(day: Ints) -> Ints:
    """Give the same day of the month before, or its last."""
    dates = day.astype("datetime64[D]")
    month = dates.astype("datetime64[M]")
    into = dates - month.astype("datetime64[D]")
    last = month.astype("datetime64[D]") - np.timedelta64(1, "D")
    return np.asarray(np.minimum((month - 1).astype("datetime64[D]") + into, last).astype(np.int64))
