"""How the energy of a county's meters moves from day to day: what intervals are split by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from elec2water.energy.arrays import Bools, Floats, Ints
from elec2water.energy.axis import Axis
from elec2water.energy.cells import Cells
from elec2water.energy.intervals import Intervals
from elec2water.energy.rates import Readings, month_rates
from elec2water.sums import membership, renumbered

SHAPE_PER_DAY = 0.1
"""Gamma shape of a day's energy where the county's data do not tell: a month of 30 days then has a CV of 0.58."""
SUPPORT = 30
"""Readings a month, or a day, must have before its rate is taken from them."""
MOST_SPEAK = 0.8
"""Part of the sample wells that must have a pair of a month: of others nobody knows whether they rested."""
SHORT_DAYS = 3
"""Intervals up to this long tell how days differ within a month."""
_SHAPE_BOUNDS = (0.02, 5.0)
_PART_OF_MONTH = 1 / 3


@dataclass(frozen=True, slots=True, eq=False)
class DailyProfile:
    """How the energy of a day depends on its month, and how unevenly days share a total.

    Attributes
    ----------
    rate : numpy.ndarray, shape (M,)
        Mean energy of a day of each month, in any unit; NaN where the data do not support one.
    shape_per_day : float
        Gamma shape of a day's energy.
    within : numpy.ndarray, shape (D,), optional
        Energy of each day of the M months in terms of its month's mean; all 1 where the data tell nothing of days.
    covariance : numpy.ndarray, shape (M, M), optional
        Of the rates; 0 for months read by themselves.
    apart : float
        Relative standard deviation of the rate of a township in a month around the county's.
    """

    rate: Floats
    shape_per_day: float
    within: Floats = field(default_factory=lambda: np.zeros(0))
    covariance: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    apart: float = 0.0

    def days_between(self, start: Ints, days: Ints, first_month: int) -> Floats:
        """Give the length of spells in mean days of their month, shape (p,)."""
        if not len(self.within):
            return days.astype(np.float64)
        base = int(np.datetime64(first_month, "M").astype("datetime64[D]").astype(np.int64))
        running = np.concatenate([[0.0], np.cumsum(self.within)])
        first, last = start - base, start - base + days
        inside = (first >= 0) & (last < len(running))
        span = running[np.where(inside, last, 0)] - running[np.where(inside, first, 0)]
        return np.asarray(np.where(inside, span, days), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Metered:
    """Electricity over intervals (n,) of meters, and the township (n_meters,) of each, 0..T-1."""

    intervals: Intervals
    township: Ints


def daily_profile(
    cells: Cells, meter: Ints, metered: Metered, crosses: Bools, axis: Axis, beside: Metered | None = None
) -> DailyProfile:
    """Learn from all readings how energy moves from month to month and how uneven days are.

    A county that reads on the 25th, or every other month, is told apart into months by :func:`month_rates`. Where daily
    readings cover a month, days within it follow them.

    Parameters
    ----------
    cells : Cells
        Energies of intervals that do not cross a month end.
    meter : numpy.ndarray, shape (R,)
        Meter of each row of `cells`.
    metered : Metered
        Intervals in order: those that cross, and short ones.
    crosses : numpy.ndarray, shape (n,)
        Which of the intervals cross a month end.
    axis : Axis
        The M months.
    beside : Metered, optional
        Electricity that sample wells' pairs state: where the meters leave months untold it tells how a season goes.

    Returns
    -------
    DailyProfile
        Rates where at least 30 readings lie in the month; the shape from how two readings of one meter that follow
        each other share their total, by the method of moments: E²(s - f)² has mean E² f(1 - f)/(a n + 1).
    """
    intervals = metered.intervals
    crossing = _needed(intervals.take(crosses), cells, axis)
    readings, bare = _readings(cells, meter, replace(metered, intervals=crossing), axis), _bare(cells)
    if beside is not None and bare.any():
        readings = readings.beside(_of_pairs(beside, axis))
    found, covariance, apart = month_rates(readings, bare)
    rate = np.where(_support(cells, crossing, axis) >= SUPPORT, found, np.nan)
    return DailyProfile(rate, _shape_per_day(cells, crossing, rate, axis), _within(intervals, axis), covariance, apart)


def _bare(cells: Cells) -> Bools:
    """Tell of which months readings within them do not support a rate, (M,)."""
    return np.asarray(np.count_nonzero(cells.days > 0, axis=0) < SUPPORT)


def _needed(crossing: Intervals, cells: Cells, axis: Axis) -> Intervals:
    """Keep the crossing intervals that touch a month which readings within it do not support."""
    bare = _bare(cells)
    running = np.concatenate([[0], np.cumsum(bare)])
    first = np.searchsorted(axis.edges, crossing.start, side="right") - 1
    last = np.searchsorted(axis.edges, crossing.end - 1, side="right")
    n = len(bare)
    return crossing.take(running[np.clip(last, 0, n)] > running[np.clip(first, 0, n)])


def _readings(cells: Cells, meter: Ints, metered: Metered, axis: Axis) -> Readings:
    """Lay out what meters used within months (the rows of ``cells`` are spells of ``meter``) and across month ends."""
    crossing = metered.intervals
    crossing = crossing.take((crossing.start >= axis.edges[0]) & (crossing.end <= axis.edges[-1]))
    n = metered.township.size
    spells = membership(meter, n)
    days = int(axis.edges[-1] - axis.edges[0]) + 1
    kind, _ = renumbered((crossing.start - axis.edges[0]) * days + (crossing.end - axis.edges[0]), days * days)
    return Readings(
        spells @ cells.days,
        spells @ cells.kwh,
        _overlap(crossing, axis),
        crossing.meter,
        kind,
        crossing.kwh,
        metered.township,
    )


def _of_pairs(metered: Metered, axis: Axis) -> Readings:
    """Lay out intervals that may lie within a month or cross its end; those beyond the axis are left out."""
    pairs, n = metered.intervals, metered.township.size
    held = pairs.take((pairs.start >= axis.edges[0]) & (pairs.end <= axis.edges[-1]))
    first = np.searchsorted(axis.edges, held.start, side="right") - 1
    within = held.end <= axis.edges[first + 1] if len(held) else np.zeros(0, dtype=bool)
    cells = Cells.empty(n, len(axis.days))
    np.add.at(cells.days, (held.meter[within], first[within]), (held.end - held.start)[within])
    np.add.at(cells.kwh, (held.meter[within], first[within]), held.kwh[within])
    crossing = replace(metered, intervals=held.take(~within))
    return _readings(cells, np.arange(n), crossing, axis).where_most_speak(MOST_SPEAK)


def _overlap(crossing: Intervals, axis: Axis) -> sparse.csr_array:
    """Give the days of each month that intervals hold, (c, M)."""
    n, columns = len(crossing), []
    for first, end in zip(axis.edges[:-1], axis.edges[1:], strict=True):
        days = np.maximum(np.minimum(crossing.end, end) - np.maximum(crossing.start, first), 0)
        columns.append(sparse.csc_array(days.astype(np.float64)[:, None]))
    return sparse.csr_array(sparse.hstack(columns)) if columns else sparse.csr_array((n, 0))


def _support(cells: Cells, crossing: Intervals, axis: Axis) -> Ints:
    """Count the readings of each month: those within it, and those that hold a third of its days."""
    within = np.count_nonzero(cells.days > 0, axis=0)
    shared = np.zeros(len(axis.days), dtype=np.int64)
    for month in range(len(axis.days)):
        days = np.minimum(crossing.end, axis.edges[month + 1]) - np.maximum(crossing.start, axis.edges[month])
        shared[month] = np.count_nonzero(days >= _PART_OF_MONTH * axis.days[month])
    return np.asarray(within + shared)


def _within(intervals: Intervals, axis: Axis) -> Floats:
    """Give the energy of each day over its month's mean, (D,), where short readings cover every day of the month."""
    short = intervals.take((intervals.end - intervals.start) <= SHORT_DAYS)
    n = int(axis.edges[-1] - axis.edges[0])
    inside = (short.start >= axis.edges[0]) & (short.end <= axis.edges[-1])
    if not inside.any():
        return np.zeros(0)
    first, last = short.start[inside] - axis.edges[0], short.end[inside] - axis.edges[0]
    daily = short.kwh[inside] / (last - first)
    energy, count = (
        np.cumsum(np.bincount(first, w, n + 1) - np.bincount(last, w, n + 1))[:n] for w in (daily, np.ones(len(first)))
    )
    mean = np.divide(energy, count, out=np.full(n, np.nan), where=count >= SUPPORT)
    starts = axis.edges[:-1] - axis.edges[0]
    month_mean = np.add.reduceat(mean, starts) / axis.days
    month = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, n)))
    known = np.isfinite(month_mean) & (month_mean > 0)
    if not known.any():
        return np.zeros(0)
    return np.where(known[month], mean / np.where(known, month_mean, 1.0)[month], 1.0)


def _shape_per_day(cells: Cells, crossing: Intervals, rate: Floats, axis: Axis) -> float:
    of_cells, of_intervals = _pairs_of_months(cells, rate, axis.days), _pairs_of_intervals(crossing, rate, axis)
    expected, deviation, length, pairs = (a + b for a, b in zip(of_cells, of_intervals, strict=True))
    if pairs < SUPPORT or deviation <= 0:
        return SHAPE_PER_DAY
    return float(np.clip((expected / deviation - 1.0) / (length / pairs), *_SHAPE_BOUNDS))


def _pairs_of_months(cells: Cells, rate: Floats, days: Floats) -> tuple[float, float, float, int]:
    """Sum f(1 - f)E², (E_1 - fE)², and lengths over pairs of neighbouring months, each over its length; and count."""
    expected = deviation = total_length = 0.0
    pairs = 0
    for month in range(len(days) - 1):
        whole = (cells.days[:, month] == days[month]) & (cells.days[:, month + 1] == days[month + 1])
        weight = rate[month : month + 2] * days[month : month + 2]
        if not np.all(weight > 0):
            continue
        first, both = cells.kwh[whole, month], cells.kwh[whole, month] + cells.kwh[whole, month + 1]
        part = weight[0] / weight.sum()
        length = days[month] + days[month + 1]
        expected += float(part * (1.0 - part) * (both @ both)) / length
        deviation += float(np.sum((first - part * both) ** 2)) / length
        count = int(np.count_nonzero(both))
        total_length += count * float(length)
        pairs += count
    return expected, deviation, total_length, pairs


def _pairs_of_intervals(crossing: Intervals, rate: Floats, axis: Axis) -> tuple[float, float, float, int]:
    """Give the same of readings of one meter that follow each other and cross month ends; `crossing` in order."""
    touching = np.flatnonzero((crossing.meter[1:] == crossing.meter[:-1]) & (crossing.start[1:] == crossing.end[:-1]))
    weight = np.zeros(len(crossing))
    for month, value in enumerate(rate):
        days = np.minimum(crossing.end, axis.edges[month + 1]) - np.maximum(crossing.start, axis.edges[month])
        weight += np.where(days > 0, days * value, 0.0)
    first, second = weight[touching], weight[touching + 1]
    usable = touching[(first > 0) & (second > 0)]
    part = weight[usable] / (weight[usable] + weight[usable + 1])
    both = crossing.kwh[usable] + crossing.kwh[usable + 1]
    length = (crossing.end[usable + 1] - crossing.start[usable]).astype(np.float64)
    expected = float(np.sum(part * (1.0 - part) * both**2 / length))
    deviation = float(np.sum((crossing.kwh[usable] - part * both) ** 2 / length))
    turned = both > 0
    return expected, deviation, float(length[turned].sum()), int(turned.sum())
