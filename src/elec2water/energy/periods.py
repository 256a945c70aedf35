"""From intervals of any days to calendar months."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elec2water.energy.arrays import Bools, Floats, Ints, runs
from elec2water.energy.intervals import Intervals
from elec2water.energy.links import Epochs
from elec2water.energy.profile import DailyProfile

ESTIMATE_CV = 0.3
"""Coefficient of variation of an energy that somebody estimated and no later read has put right."""


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Parts of intervals that lie in one calendar month and one spell of a meter; every array has shape (p,).

    ``parent`` is the interval, ``month`` counts months since 1970-01, ``epoch`` is the spell, ``start`` the first day
    and ``days`` the length. Pieces of an interval follow each other.
    """

    parent: Ints
    month: Ints
    epoch: Ints
    start: Ints
    days: Ints

    def take(self, which: Bools) -> Pieces:
        """Give some of the pieces."""
        return Pieces(*(getattr(self, name)[which] for name in ("parent", "month", "epoch", "start", "days")))


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
    begin = np.maximum(start[spell], _first_day(month))
    return Pieces(parent[spell], month, epoch[spell], begin, np.minimum(end[spell], _first_day(month + 1)) - begin)


def split_of(pieces: Pieces, profile: DailyProfile, first_month: int) -> Floats:
    """Give the part of its interval's energy that falls on each piece, shape (p,); the parts of an interval sum to 1.

    Parts follow the profile of days. An interval that touches a month without a rate, or only months of rate 0, is
    split by days alone.

    Parameters
    ----------
    pieces : Pieces
        Pieces of whole intervals.
    profile : DailyProfile
        Rates by month, and how days differ within their month.
    first_month : int
        Months since 1970-01 of the profile's first month.
    """
    weight = _weights(pieces, profile, first_month)[1]
    n = int(pieces.parent.max(initial=-1)) + 1
    total = np.bincount(pieces.parent, weights=weight, minlength=n)
    length = np.bincount(pieces.parent, weights=pieces.days, minlength=n)
    supported = np.isfinite(total) & (total > 0)
    weight = np.where(supported[pieces.parent], weight, pieces.days)
    return np.asarray(weight / np.where(supported, total, length)[pieces.parent])


def _weights(pieces: Pieces, profile: DailyProfile, first_month: int) -> tuple[Floats, Floats]:
    """Give the mean days of their month that pieces hold, and the same times its rate, NaN without one; (p,) each."""
    column = pieces.month - first_month
    known = (column >= 0) & (column < len(profile.rate))
    padded = np.append(profile.rate, np.nan)
    days = profile.days_between(pieces.start, pieces.days, first_month)
    return days, days * padded[np.where(known, column, -1)]


def rate_slopes(pieces: Pieces, energy: Floats, profile: DailyProfile, first_month: int) -> tuple[Ints, Ints, Floats]:
    """Give how the energy of pieces hangs on uncertain rates: ``∂(E f_p)/∂r_k = E (d_p [p in k] - f_p d_k)/Σ d r``.

    Parameters
    ----------
    pieces, profile, first_month
        As for :func:`split_of`.
    energy : numpy.ndarray, shape (p,)
        Energy of the whole interval of each piece [kWh].

    Returns
    -------
    piece, source : numpy.ndarray, shape (q,)
        The piece, and the piece of the same interval whose month's rate it hangs on.
    slope : numpy.ndarray, shape (q,)
        [kWh] for a unit of the rate.
    """
    days, weight = _weights(pieces, profile, first_month)
    parent, n = pieces.parent, len(pieces.parent)
    total = np.bincount(parent, weights=weight, minlength=1)
    total = np.where(np.isfinite(total) & (total > 0), total, np.inf)[parent]
    variance = np.append(np.diag(profile.covariance), 0.0)
    column = pieces.month - first_month
    uncertain = variance[np.where((column >= 0) & (column < len(variance) - 1), column, -1)] > 0
    most = int(np.bincount(parent, minlength=1).max())
    found = []
    for ahead in range(1 - most, most):
        piece = np.arange(max(0, -ahead), n - max(0, ahead))
        piece = piece[(parent[piece] == parent[piece + ahead]) & uncertain[piece + ahead] & np.isfinite(total[piece])]
        own = days[piece] if ahead == 0 else 0.0
        slope = own - weight[piece] / total[piece] * days[piece + ahead]
        found.append((piece, piece + ahead, energy[piece] * slope / total[piece]))
    piece, source, slope = (np.concatenate(part) for part in zip(*found, strict=True))
    return piece, source, slope


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
    part = split_of(pieces, profile, first_month)
    energy = intervals.kwh[pieces.parent]
    length = (intervals.end - intervals.start)[pieces.parent]
    kwh = energy * part
    variance = energy**2 * part * (1.0 - part) / (profile.shape_per_day * length + 1.0)
    variance = np.maximum(variance, 0.0) + np.where(intervals.estimated[pieces.parent], (ESTIMATE_CV * kwh) ** 2, 0.0)
    return kwh, variance


def spread_covariance(
    intervals: Intervals, pieces: Pieces, kwh: Floats, profile: DailyProfile, lag: int
) -> tuple[Ints, Floats]:
    """Give the covariance of pieces of one interval and spell `lag` months apart: what one gets another lacks.

    Parameters
    ----------
    intervals, pieces, profile
        As for :func:`spread`.
    kwh : numpy.ndarray, shape (p,)
        Energy of each piece.
    lag : int
        Months between the two.

    Returns
    -------
    piece : numpy.ndarray, shape (q,)
        The earlier piece of each pair; the later one is ``piece + lag``.
    covariance : numpy.ndarray, shape (q,)
        -E² f g/(a n + 1) [kWh²], plus what the two share of an estimated total.
    """
    first = np.arange(max(len(pieces.parent) - lag, 0))
    together = (pieces.parent[first] == pieces.parent[first + lag]) & (pieces.epoch[first] == pieces.epoch[first + lag])
    piece = first[together & (pieces.month[first + lag] - pieces.month[first] == lag)]
    parent = pieces.parent[piece]
    length = intervals.end[parent] - intervals.start[parent]
    product = kwh[piece] * kwh[piece + lag]
    common = np.where(intervals.estimated[parent], ESTIMATE_CV**2, 0.0)
    return piece, product * (common - 1.0 / (profile.shape_per_day * length + 1.0))


def _month_of(day: Ints) -> Ints:
    return day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _first_day(month: Ints) -> Ints:
    return month.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
