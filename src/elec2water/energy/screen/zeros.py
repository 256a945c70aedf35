"""Meters that stand still in the season or fall silent, and meters that never stand still."""

from __future__ import annotations

import numpy as np

from elec2water.energy.arrays import Bools, Floats, Ints
from elec2water.energy.screen.series import Desk, MeterMonths, Suspects
from elec2water.energy.screen.usual import Usual
from elec2water.findings import Findings, largest_of

LEAST_READ = 3
"""Meters from which on a month without any use is said of all of them."""
_LEAST_ZEROS = 3
_NEARLY_CERTAIN = 0.98
_STANDS_STILL = 0.5
_STEADY = 0.6
_LEAST_WINTER = 4
_MOST_READ = 0.5
_BOUND = 0.5
_SELDOM = 0.1


def long_zeros(series: MeterMonths, usual: Usual, desk: Desk) -> Findings:
    """Report runs of zero months that the season does not explain (``LONG_ZERO``).

    The evidence of a run is -Σ log10 of the part of the class that stood still in each of its months, raised by how
    much more often than the class this meter stands still in its other months; winter weighs nothing. Reported where it
    exceeds the threshold, for meters of wells in use.
    """
    zero, known = series.kwh == 0, np.isfinite(series.kwh)
    best, end, size = _longest_runs(zero, known, usual)
    limit = desk.settings.limit("LONG_ZERO")
    some = np.flatnonzero((best > limit) & (size >= _LEAST_ZEROS) & ~series.idle & (end >= series.asked.start))
    first = _first_of_run(zero[some], known[some], end[some])
    evidence = _against_own_habit(zero[some], usual.zero_share[usual.group[some]], first, end[some])
    told = evidence > limit
    meter, first = some[told], first[told]
    cause = desk.reporter.choose(
        "停用或报废未登记|电表故障或绕越|当季未灌|换表后未录入",
        "out of use without a record|meter broken or bypassed|not irrigated this season|new meter not entered",
    )
    return desk.findings(
        "LONG_ZERO",
        Suspects(
            meter=meter,
            first=first,
            last=end[meter],
            observed=size[meter].astype(np.float64),
            limit=np.full(len(meter), limit),
            stake=_expected(series, usual, meter, first, end[meter]),
            candidates=np.full(len(meter), cause, dtype=object),
        ),
        series,
    )


def silent_meters(series: MeterMonths, usual: Usual, desk: Desk) -> Findings:
    """Report meters without a reading in the last months, while others were read (``METER_SILENT``).

    Their energy is imputed from the months asked for; of meters without a reading in any of these ``METER_NO_DATA``
    says that it is unknown.
    """
    known = np.isfinite(series.kwh)
    stop = series.asked.stop
    while stop > series.asked.start and known[:, stop - 1].mean() < _MOST_READ:
        stop -= 1
    least = int(desk.settings.limit("METER_SILENT"))
    if stop < least:
        return Findings.empty()
    newest = np.where(known[:, :stop].any(axis=1), stop - 1 - np.argmax(known[:, :stop][:, ::-1], axis=1), -1)
    meter = np.flatnonzero(
        (stop - 1 - newest >= least) & (newest >= series.asked.start) & ~series.idle & (series.well >= 0)
    )
    first, last = newest[meter] + 1, np.full(len(meter), stop - 1)
    cause = desk.reporter.choose(
        "电网未导出|换表后用了新表号|停用", "left out of the export|exchanged: look under a new id|out of use"
    )
    return desk.findings(
        "METER_SILENT",
        Suspects(
            meter=meter,
            first=first,
            last=last,
            observed=(last - first + 1).astype(np.float64),
            limit=np.full(len(meter), float(least)),
            stake=_expected(series, usual, meter, first, last),
            candidates=np.full(len(meter), cause, dtype=object),
        ),
        series,
    )


def months_of_zeros(series: MeterMonths, desk: Desk) -> Findings:
    """Report the last months of the readings if every meter stands at zero in them (``MONTH_ALL_ZERO``).

    Forms with a column for every month of a year hold zeros for the months to come. Nothing is said where all meters
    stood still in the same months of a year before: there it is the season.
    """
    known = np.isfinite(series.kwh)
    idle = (known.sum(axis=0) >= LEAST_READ) & ~(known & (series.kwh != 0)).any(axis=0)
    read = np.flatnonzero(known.any(axis=0))
    month = int(read[-1]) if len(read) else -1
    while month >= 0 and (idle[month] or not known[:, month].any()):
        month -= 1
    months = np.flatnonzero(idle)
    months = months[(months > month) & (month >= 0)]
    months = months[~np.array([m >= 12 and bool(idle[m - 12]) for m in months], dtype=bool)]
    return largest_of(
        "MONTH_ALL_ZERO",
        np.zeros(len(months)),
        table="readings",
        file=desk.reporter.file,
        period=series.months[months].astype(str),
        observed=known[:, months].sum(axis=0),
        candidates=desk.reporter.choose(
            "当月尚未抄表，预填为零|非灌溉期", "not yet read: filled with zeros|no irrigation"
        ),
        lang=desk.reporter.lang,
    )


def base_loads(series: MeterMonths, usual: Usual, desk: Desk) -> Findings:
    """Report meters with another load than the pump above a share of their energy (``NON_PUMP_LOAD``).

    The load is that which volumes leave out, of the months of rest; where these tell none, that of the months in which
    half of the class stands still.
    """
    load = series.other_load
    load = np.where(load > 0.0, load, _load_out_of_season(series, usual))
    months = np.isfinite(series.kwh).sum(axis=1)
    share = np.minimum(load * months / np.maximum(np.nansum(series.kwh, axis=1), 1e-9), 1.0)
    meter = np.flatnonzero(share > desk.settings.limit("NON_PUMP_LOAD"))
    cause = desk.reporter.choose("住户或看井房用电|照明|其他用电", "household or hut|lamp|another load")
    return desk.findings(
        "NON_PUMP_LOAD",
        Suspects(
            meter=meter,
            first=np.full(len(meter), series.asked.start),
            last=np.full(len(meter), series.asked.stop - 1),
            observed=np.round(load[meter], 1),
            limit=np.round(share[meter], 3),
            stake=load[meter] * months[meter],
            candidates=np.full(len(meter), cause, dtype=object),
        ),
        series,
    )


def _load_out_of_season(series: MeterMonths, usual: Usual) -> Floats:
    """Give the steady load of a month in those in which half of the class stands still, (R,) [kWh]; 0 for none.

    What is there in every month bounds every month from below: where more than one in ten takes less than half of it,
    the wells of the class merely irrigate at different times.
    """
    seen = (usual.zero_share >= _STANDS_STILL)[usual.group] & np.isfinite(series.kwh)
    count = seen.sum(axis=1)
    turned = (seen & (series.kwh > 0)).sum(axis=1)
    some = np.flatnonzero((count >= _LEAST_WINTER) & (count - turned <= _SELDOM * count))
    load = np.zeros(len(series.kwh))
    if some.size:
        value = np.where(seen[some] & (series.kwh[some] > 0), series.kwh[some], np.nan)
        middle = np.nanmedian(value, axis=1)
        steady = np.nanmedian(np.abs(value - middle[:, None]), axis=1) <= _STEADY * middle
        every, known = series.kwh[some], np.isfinite(series.kwh[some]).sum(axis=1)
        below = (every < _BOUND * middle[:, None]).sum(axis=1)
        load[some] = np.where(steady & (below <= _SELDOM * known), middle, 0.0)
    return load


def _longest_runs(zero: Bools, known: Bools, usual: Usual) -> tuple[Floats, Ints, Ints]:
    """Give the evidence, last month and number of zeros of the run of each meter that tells most, (R,) each.

    Meters that never stood still are not looked at.
    """
    rows = np.flatnonzero(zero.any(axis=1))
    weight = -np.log10(np.minimum(usual.zero_share, _NEARLY_CERTAIN))
    group, n = usual.group[rows], len(rows)
    stood, turned = (np.ascontiguousarray(flags[rows].T) for flags in (zero, known & ~zero))
    run, length = np.zeros(n), np.zeros(n, dtype=np.int64)
    best, end, size = np.zeros(n), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for month in range(zero.shape[1]):
        run = np.where(turned[month], 0.0, run + stood[month] * weight[group, month])
        length = np.where(turned[month], 0, length + stood[month])
        better = (run > best) & stood[month]
        best, end, size = (np.where(better, new, old) for new, old in ((run, best), (month, end), (length, size)))
    evidence, last, zeros = np.zeros(len(zero)), np.zeros(len(zero), np.int64), np.zeros(len(zero), np.int64)
    evidence[rows], last[rows], zeros[rows] = best, end, size
    return evidence, last, zeros


def _first_of_run(zero: Bools, known: Bools, end: Ints) -> Ints:
    """Give the first zero of the run that ends at `end`; unknown months do not break it."""
    first, open_ = end.copy(), np.ones(len(end), dtype=bool)
    for month in range(zero.shape[1] - 1, -1, -1):
        open_ &= ~((month < end) & known[:, month] & ~zero[:, month])
        first = np.where(open_ & (month < end) & zero[:, month], month, first)
    return first


def _against_own_habit(zero: Bools, share: Floats, first: Ints, end: Ints) -> Floats:
    column = np.arange(zero.shape[1])
    inside = (column >= first[:, None]) & (column <= end[:, None])
    other_zeros = (zero & ~inside).sum(axis=1) + 1.0
    expected = np.where(inside, 0.0, share).sum(axis=1) + 1.0
    habit = np.maximum(other_zeros / expected, 1.0)[:, None]
    weight = -np.log10(np.minimum(share * habit, _NEARLY_CERTAIN))
    return np.asarray(np.where(inside & zero, weight, 0.0).sum(axis=1))


def _expected(series: MeterMonths, usual: Usual, meter: Ints, first: Ints, last: Ints) -> Floats:
    """Energy that would have been usual in a spell [kWh]."""
    group = usual.group[meter]
    level = np.where(np.isfinite(usual.level[meter]), usual.level[meter], usual.class_level[group])
    size = np.where(series.capacity_kw[meter] > 0, series.capacity_kw[meter], 1.0)
    usual_kwh = np.exp(level[:, None] + usual.effect[group]) * (1.0 - usual.zero_share[group]) * size[:, None]
    column = np.arange(usual_kwh.shape[1])
    inside = (column >= first[:, None]) & (column <= last[:, None])
    return np.asarray(np.where(inside, usual_kwh, 0.0).sum(axis=1))
