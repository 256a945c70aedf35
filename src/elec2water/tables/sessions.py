"""Logs of pumping (cards swiped at a well, the ledger of an association): many uses, summed by meter and month."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from elec2water.findings import Findings
from elec2water.tables.typed import TypedTable

if TYPE_CHECKING:
    from elec2water.tables.context import Context

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
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
    """Sum uses by meter and month, and tell months without any that are zero from those that are not known.

    A log writes down uses and no rests, so what says nothing of a meter is zero only where the log speaks: in months
    between a meter's first and last use in which others of its log were used. After the last use it is zero if meters
    of the log are seen to rest as long and come back; else the card may be lost or the pump gone. Before the first
    use, and in months without a use of anybody, nothing is known.

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
        ``USES_SUMMED``, a warning that says what was taken as zero and what not; ``USES_UNLOGGED`` for the months of
        nobody.
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
    _, at, meter = np.unique(uses.codes("meter_id"), return_index=True, return_inverse=True)
    key, head, group = np.unique(meter * span + place, return_index=True, return_inverse=True)
    sums = np.asarray(np.bincount(group, weights=uses.numbers("energy_kwh")), dtype=np.float64)
    order = np.argsort(head)
    summed = _of_months(uses.keep(np.isin(np.arange(len(uses)), head)), month[head[order]], sums[order])
    there = np.zeros((len(at), span), dtype=bool)
    there.ravel()[key] = True
    log = _logs(meter, uses.file_codes, len(at))
    zero, unlogged = _rests(there, log)
    whole = summed
    for number in np.flatnonzero(zero.any(axis=0)).tolist():
        whole = whole.stacked(_resting(uses, at[zero[:, number]], first + number))
    found = context.finding(
        "USES_SUMMED", observed=len(uses), limit=len(summed), resting=int(zero.sum()),
        unknown=int((~there & ~zero).sum()), row=int(uses.rows[0]), period=f"{first} – {month.max()}",
    )  # fmt: skip
    found += _unlogged(unlogged, uses, first, context)
    whole = whole.stacked(rest.with_columns(**_dates_of(rest))) if len(rest) else whole
    return whole.without("used_on"), found


def _logs(meter: Ints, file: npt.NDArray[np.int16], n_meters: int) -> Ints:
    """Tell which log each meter belongs to: files that share a meter are of one log, as monthly exports are."""
    pairs = np.unique(np.stack([meter, file.astype(np.int64) + n_meters]), axis=1)
    size = n_meters + int(file.max(initial=0)) + 1
    graph = coo_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1])[:n_meters].astype(np.int64)


def _rests(used: Mask, log: Ints) -> tuple[Mask, Mask]:
    """Tell the months of meters (K, M) that are zero, and the months of logs (L, M) in which nobody used anything."""
    n, span = used.shape
    number = np.arange(span)
    logged = np.zeros((int(log.max(initial=0)) + 1, span), dtype=bool)
    np.logical_or.at(logged, log, used)
    begins, ends = used.argmax(axis=1)[:, None], span - 1 - used[:, ::-1].argmax(axis=1)[:, None]
    rests = logged[log] & ~used
    zero = rests & (number > begins) & (number < ends)
    longest = np.sort([_longest(row) for row in zero])
    usual = int(longest[-2]) if n > 1 else 0
    after = rests & (number > ends)
    zero |= after & (after.sum(axis=1) <= usual)[:, None]
    within = [logged[k].argmax() < number for k in range(len(logged))]
    until = [number < span - logged[k][::-1].argmax() for k in range(len(logged))]
    return zero, ~logged & np.array(within) & np.array(until)


def _longest(row: Mask) -> int:
    """Give the length of the longest run of a row."""
    edges = np.flatnonzero(np.diff(np.pad(row.astype(np.int8), 1)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _unlogged(unlogged: Mask, uses: TypedTable, first: np.datetime64, context: Context) -> Findings:
    """Report months in which a log says nothing of any of its meters."""
    months = np.flatnonzero(unlogged.any(axis=0))
    if not len(months):
        return Findings.empty()
    periods = [str(first + number) for number in months.tolist()]
    return context.finding("USES_UNLOGGED", period=periods, row=[int(uses.rows[0])] * len(periods))


def _dates_of(table: TypedTable) -> dict[str, npt.NDArray[np.datetime64]]:
    return {name: table.dates(name) for name in ("start", "end")}


def _of_months(rows: TypedTable, month: Months, energy: Floats) -> TypedTable:
    start, end = ((month + step).astype("datetime64[s]") for step in (0, 1))
    return rows.with_columns(start=start, end=end, energy_kwh=energy)


def _resting(uses: TypedTable, first_uses: Ints, month: np.datetime64) -> TypedTable:
    """Give a row of no energy for each of some meters."""
    rows = uses.keep(np.isin(np.arange(len(uses)), first_uses))
    return _of_months(rows, np.full(len(rows), month), np.zeros(len(rows)))
