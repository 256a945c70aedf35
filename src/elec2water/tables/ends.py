"""Ends of periods and links as people write them: the last day or its last minute, where the day after is meant."""

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
ENOUGH = 2000
"""Meters, and records of a file, that are looked at."""
_DAY = np.timedelta64(1, "D")
_DAY_S = 86_400
_POWER = 127
"""A day is 675 times 128 seconds: multiples of 128 seconds never lie within a day's last minute."""


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
    some = _examples(table)
    start, end = (table.dates(name)[some].astype("datetime64[D]") for name in ("start", "end"))
    some, start, end = (part[~np.isnat(start) & ~np.isnat(end)] for part in (some, start, end))
    first = _day(start)
    same_day, day_before = first == _day(end), first == _day((end + _DAY).astype("datetime64[D]"))
    meets, follows = _successions(table.codes("meter_id" if "meter_id" in table else "well_id")[some], start, end)
    told = [
        code
        for code in np.unique(table.file_codes[some]).tolist()
        if _inclusive(*(part[table.file_codes[some] == code] for part in (same_day, day_before, meets, follows)))
    ]
    if not told:
        return table, Findings.empty()
    moved = np.isin(table.file_codes, told) & ~np.isnat(table.dates("end"))
    count = np.bincount(table.file_codes[moved], minlength=len(table.files))
    found = context.finding(
        "END_INCLUSIVE",
        file=np.array([table.files[code] for code in told], dtype=object),
        row=np.array([int(table.rows[table.file_codes == code][0]) for code in told]),
        observed=count[told],
    )
    return table.with_columns(end=np.where(moved, table.dates("end") + _DAY, table.dates("end"))), found


def inclusive_links(table: TypedTable, context: Context) -> tuple[TypedTable, Findings]:
    """Give the day after where links write the last day of their validity: the next link of the meter begins a day on.

    Parameters
    ----------
    table : TypedTable
        Links of meters and wells.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        ``valid_to`` as the first day on which the link does not hold.
    Findings
        ``LINK_END_INCLUSIVE``, a warning with the count.
    """
    if "valid_from" not in table or "valid_to" not in table:
        return table, Findings.empty()
    start, end = (table.dates(name).astype("datetime64[D]") for name in ("valid_from", "valid_to"))
    meter = table.codes("meter_id")
    begins = {(m, day) for m, day in zip(meter.tolist(), start.tolist(), strict=True) if day is not None}
    ends = list(zip(meter.tolist(), end.tolist(), (end + _DAY).tolist(), strict=True))
    follows = np.array([day is not None and (m, later) in begins for m, day, later in ends], dtype=bool)
    meets = np.array([day is not None and (m, day) in begins for m, day, _ in ends], dtype=bool)
    if not follows.any():
        return table, Findings.empty()
    moved = follows if meets.any() else ~np.isnat(end)
    found = context.finding("LINK_END_INCLUSIVE", observed=int(moved.sum()), row=int(table.rows[np.argmax(follows)]))
    return table.with_columns(valid_to=np.where(moved, table.dates("valid_to") + _DAY, table.dates("valid_to"))), found


def _examples(table: TypedTable) -> npt.NDArray[np.int64]:
    """Choose the records that are looked at: the first of every file, and all of the first meters."""
    codes = table.codes("meter_id" if "meter_id" in table else "well_id")
    one = len(table.files) == 1
    first = np.arange(min(len(table), 1)) if one else np.flatnonzero(np.diff(table.file_codes, prepend=-1) != 0)
    heads = (np.arange(start, min(start + ENOUGH, len(table))) for start in first.tolist())
    return np.union1d(np.flatnonzero((codes >= 0) & (codes < ENOUGH)), np.concatenate([*heads, np.zeros(0, np.int64)]))


def _inclusive(same_day: Mask, day_before: Mask, meets: Mask, follows: Mask) -> bool:
    """Whether the periods of one file end on their last day."""
    size, touching, apart = len(same_day), int(meets.sum()), int(follows.sum())
    by_day = day_before.sum() >= MOST * size and same_day.sum() <= (1.0 - MOST) * size
    by_next = apart >= FEWEST and apart >= MOST * (touching + apart)
    return size >= FEWEST and bool(by_day or by_next) and touching <= (1.0 - MOST) * (touching + apart)


def _past_midnight(table: TypedTable) -> TypedTable:
    """Take the last minute of a day as the midnight that follows it."""
    for name in ("end", "read_on"):
        if name not in table:
            continue
        days = table.dates(name)
        if not int(np.bitwise_or.reduce(days.view(np.int64))) & _POWER:
            continue
        late = (days.view(np.int64) % _DAY_S >= _DAY_S - 60) & ~np.isnat(days)
        if late.any():
            table = table.with_columns(**{name: np.where(late, days.astype("datetime64[D]") + _DAY, days)})
    return table


def _day(days: Days) -> npt.NDArray[np.int64]:
    """Day of the month, from 0."""
    return np.asarray((days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64))


def _successions(meter: npt.NDArray[np.int64], start: Days, end: Days) -> tuple[Mask, Mask]:
    """Tell after which periods the next of the same meter (or well) begins on the day of the end, or a day later."""
    order = np.lexsort((start, meter))
    same = meter[order[1:]] == meter[order[:-1]]
    gap = (start[order[1:]] - end[order[:-1]]).astype(np.int64)
    touching, apart = np.zeros(len(meter), dtype=bool), np.zeros(len(meter), dtype=bool)
    touching[order[:-1]] = same & (gap == 0)
    apart[order[:-1]] = same & (gap == 1)
    return touching, apart
