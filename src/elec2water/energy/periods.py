"""From intervals of any days to calendar months."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elec2water.energy.arrays import Floats, Ints, runs
from elec2water.energy.cells import Cells
from elec2water.energy.intervals import Intervals
from elec2water.energy.links import Epochs

ESTIMATE_CV = 0.3
"""Coefficient of variation of an energy that somebody estimated and no later read has put right."""
SHAPE_PER_DAY = 0.1
"""Gamma shape of a day's energy where the county's data do not tell: a month of 30 days then has a CV of 0.58."""
_SUPPORT = 30
_SHAPE_BOUNDS = (0.02, 5.0)


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Consecutive calendar months as day numbers.

    Attributes
    ----------
    months : numpy.ndarray, shape (M,)
        ``datetime64[M]``.
    edges : numpy.ndarray, shape (M + 1,)
        First day of each month, and the day after the last (days since 1970-01-01).
    """

    months: npt.NDArray[np.datetime64]
    edges: Ints

    @classmethod
    def of(cls, months: npt.NDArray[np.datetime64]) -> Axis:
        """Lay out consecutive months."""
        ends = np.append(months, months[-1] + 1)
        return cls(months, ends.astype("datetime64[D]").astype(np.int64))

    @property
    def days(self) -> Floats:
        """Days of each month, shape (M,)."""
        return np.diff(self.edges).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class DailyProfile:
    """How the energy of a day depends on its month, and how unevenly days share a total.

    Attributes
    ----------
    rate : numpy.ndarray, shape (M,)
        Mean energy of a day of each month, in any unit; NaN where the data do not support one.
    shape_per_day : float
        Gamma shape of a day's energy.
    """

    rate: Floats
    shape_per_day: float


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Parts of intervals that lie in one calendar month and one spell of a meter; every array has shape (p,).

    ``parent`` is the interval, ``month`` counts months since 1970-01, ``epoch`` is the spell, ``days`` the length.
    """

    parent: Ints
    month: Ints
    epoch: Ints
    days: Ints


def cut(intervals: Intervals, epochs: Epochs) -> Pieces:
    """Cut intervals at month ends and where the links of their meter change."""
    parent, place = runs(np.diff(epochs.first)[intervals.meter])
    epoch = epochs.first[intervals.meter[parent]] + place
    start = np.maximum(intervals.start[parent], epochs.start[epoch])
    end = np.minimum(intervals.end[parent], epochs.end[epoch])
    real = start < end
    parent, epoch, start, end = parent[real], epoch[real], start[real], end[real]
    first = _month_of(start)
    spell, place = runs(_month_of(end - 1) - first + 1)
    month = first[spell] + place
    days = np.minimum(end[spell], _first_day(month + 1)) - np.maximum(start[spell], _first_day(month))
    return Pieces(parent[spell], month, epoch[spell], days)


def split_of(pieces: Pieces, rate: Floats, first_month: int) -> Floats:
    """Give the part of its interval's energy that falls on each piece, shape (p,); the parts of an interval sum to 1.

    Parts are days × the month's rate. An interval that touches a month without a rate, or only months of rate 0, is
    split by days alone.

    Parameters
    ----------
    pieces : Pieces
        Pieces of whole intervals.
    rate : numpy.ndarray, shape (M,)
        Energy of a day in each month, NaN where unsupported.
    first_month : int
        Months since 1970-01 of the first rate.
    """
    column = pieces.month - first_month
    known = (column >= 0) & (column < len(rate))
    padded = np.append(rate, np.nan)
    weight = pieces.days * padded[np.where(known, column, -1)]
    n = int(pieces.parent.max(initial=-1)) + 1
    total = np.bincount(pieces.parent, weights=weight, minlength=n)
    length = np.bincount(pieces.parent, weights=pieces.days, minlength=n)
    supported = np.isfinite(total) & (total > 0)
    weight = np.where(supported[pieces.parent], weight, pieces.days)
    return np.asarray(weight / np.where(supported, total, length)[pieces.parent])


def spread(intervals: Intervals, pieces: Pieces, profile: DailyProfile, first_month: int) -> tuple[Floats, Floats]:
    """Spread the energy of intervals over their pieces.

    The variance is that of a Beta law (independent gamma days): E² f(1 - f)/(a n + 1) for a part f of an interval of
    n days, plus :data:`ESTIMATE_CV` for intervals whose total is an estimate.

    Parameters
    ----------
    intervals : Intervals
        n intervals.
    pieces : Pieces
        Their pieces, from :func:`cut`.
    profile : DailyProfile
        Rates by month and the unevenness of days.
    first_month : int
        Months since 1970-01 of the profile's first month.

    Returns
    -------
    kwh, variance : numpy.ndarray, shape (p,)
        Energy [kWh], which sums to the interval's, and variance [kWh²] of each piece.
    """
    part = split_of(pieces, profile.rate, first_month)
    energy = intervals.kwh[pieces.parent]
    length = (intervals.end - intervals.start)[pieces.parent]
    kwh = energy * part
    variance = energy**2 * part * (1.0 - part) / (profile.shape_per_day * length + 1.0)
    variance = np.maximum(variance, 0.0) + np.where(intervals.estimated[pieces.parent], (ESTIMATE_CV * kwh) ** 2, 0.0)
    return kwh, variance


def daily_profile(cells: Cells, axis: Axis) -> DailyProfile:
    """Learn from whole-month readings how energy moves from month to month and how uneven days are.

    Parameters
    ----------
    cells : Cells
        Energies of intervals that do not cross a month end.
    axis : Axis
        The M months.

    Returns
    -------
    DailyProfile
        Rates where at least 30 rows were read in the month; the shape from how two neighbouring months of one meter
        share their total, by the method of moments: E²(s - f)² has mean E² f(1 - f)/(a n + 1).
    """
    read = cells.days > 0
    days = cells.days.sum(axis=0)
    rate = np.divide(cells.kwh.sum(axis=0), days, out=np.full(len(days), np.nan), where=read.sum(axis=0) >= _SUPPORT)
    return DailyProfile(rate, _shape_per_day(cells, rate, axis.days))


def _shape_per_day(cells: Cells, rate: Floats, days: Floats) -> float:
    expected = deviation = 0.0
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
        pairs += int(np.count_nonzero(both))
    if pairs < _SUPPORT or deviation <= 0:
        return SHAPE_PER_DAY
    mean_length = 2.0 * float(days.mean())
    return float(np.clip((expected / deviation - 1.0) / mean_length, *_SHAPE_BOUNDS))


def _month_of(day: Ints) -> Ints:
    return day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _first_day(month: Ints) -> Ints:
    return month.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
