"""What water meters measured within a quarter, month by month."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elec2water.calendar_ import month_of
from elec2water.energy import MonthlyEnergy
from elec2water.pairs import Measurements

Floats = NDArray[np.float64]

_WHOLE_MONTH = 0.98
_PART_REL_U = 0.05
"""Relative standard deviation of the coefficient of some months of an interval against that of its others."""


@dataclass(frozen=True)
class MeasuredMonths:
    """Measured volume of wells and months, (N, M) with NaN where a month is not wholly measured.

    ``meter_rel_u`` (N,) is the relative standard uncertainty of each well's water meter, ``own_error`` (N,) the
    relative variance of the measured volume that belongs to the well alone.
    """

    volume_m3: Floats
    energy_kwh: Floats
    meter_rel_u: Floats
    own_error: Floats


def measured_months(
    measured: Measurements,
    working: NDArray[np.bool_],
    months: NDArray[np.datetime64],
    energy: MonthlyEnergy,
    *,
    meter_rel_u: float,
    pair_error: float,
) -> MeasuredMonths:
    """Lay the pairs of working water meters over calendar months; one that crosses months is split by electricity.

    Water goes with electricity, so that of the water of an interval each month has what it has of the well's
    electricity, but for what the coefficient moves between them; by days where not all of that electricity is known.

    Parameters
    ----------
    measured : Measurements
    working : (R,)
        False for pairs whose water meter is not believed; their months are converted like any other.
    months : (M,) datetime64[M]
    energy : MonthlyEnergy
        Of the N wells of the registry.
    meter_rel_u : float
        Relative standard uncertainty of a water meter that states none.
    pair_error : float
        Variance of the error of one pair.
    """
    begin, end = months[0].astype("datetime64[s]"), (months[-1] + 1).astype("datetime64[s]")
    here = working & ~measured.test & (measured.days > 0) & (measured.start < end) & (measured.end > begin)
    pairs = measured.take(np.flatnonzero(here))
    wells, well = np.unique(pairs.well, return_inverse=True)
    days = np.stack([_overlap_days(pairs, month) for month in months], axis=1)
    share = _shares(pairs, days, months, energy)
    volume, kwh, read, squares = (
        _by_well(values, well, wells.size)
        for values in (
            pairs.volume_m3[:, None] * share,
            pairs.energy_kwh[:, None] * share,
            days,
            (pairs.volume_m3[:, None] * share) ** 2,
        )
    )
    whole = read >= _WHOLE_MONTH * _days_of(months)
    total = np.where(whole, volume, 0.0).sum(axis=1)
    # What a pair has outside of these months is as uncertain as what it has in them.
    inside = np.where(whole[well], share, 0.0).sum(axis=1)
    apart = np.bincount(well, (_PART_REL_U * pairs.volume_m3 * inside * (1.0 - inside)) ** 2, wells.size)
    repeat = pair_error * np.where(whole, squares, 0.0).sum(axis=1) + apart
    repeat /= np.where(total > 0, total, 1.0) ** 2
    n_wells = energy.well_id.size
    u = np.full(n_wells, meter_rel_u)
    stated = np.isfinite(measured.meter_rel_u)
    u[measured.well[stated]] = measured.meter_rel_u[stated]
    own = u**2
    own[wells] += repeat
    volume_m3, energy_kwh = (np.full((n_wells, months.size), np.nan) for _ in range(2))
    volume_m3[wells], energy_kwh[wells] = np.where(whole, volume, np.nan), np.where(whole, kwh, np.nan)
    return MeasuredMonths(volume_m3, energy_kwh, u, own)


def _shares(pairs: Measurements, days: Floats, months: NDArray[np.datetime64], energy: MonthlyEnergy) -> Floats:
    """Give what each pair has in each month of its electricity, (R, M); ``days`` (R, M) of it lie there."""
    share = days / pairs.days[:, None]
    if not pairs.well.size:
        return share
    every = np.arange(month_of(pairs.start).min(), month_of(pairs.end).max() + 1)
    held = np.clip(np.searchsorted(energy.months, every), 0, energy.months.size - 1)
    total, known = np.zeros(pairs.well.size), np.ones(pairs.well.size, dtype=bool)
    here = np.zeros_like(days)
    for month, column in zip(every, held, strict=True):
        part = _overlap_days(pairs, month) / _days_of(month)
        kwh = part * energy.kwh[pairs.well, column] if energy.months[column] == month else np.full(part.size, np.nan)
        known &= np.isfinite(kwh) | (part == 0.0)
        kwh = np.where(part > 0.0, np.nan_to_num(kwh), 0.0)
        total += kwh
        here[:, months == month] = kwh[:, None]
    known &= total > 0.0
    return np.where(known[:, None], here / np.where(known, total, 1.0)[:, None], share)


def _by_well(values: Floats, well: NDArray[np.intp], n_wells: int) -> Floats:
    """Add up the rows of ``values`` (R, M) by well, (W, M)."""
    return np.column_stack([np.bincount(well, weights=column, minlength=n_wells) for column in values.T])


def _days_of(months: NDArray[np.datetime64] | np.datetime64) -> Floats:
    return np.asarray(((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.float64))


def _overlap_days(pairs: Measurements, month: np.datetime64) -> Floats:
    start = np.maximum(pairs.start, month.astype("datetime64[s]"))
    end = np.minimum(pairs.end, (month + 1).astype("datetime64[s]"))
    seconds = (end - start).astype("timedelta64[s]").astype(np.float64)
    return np.asarray(np.maximum(seconds, 0.0) / 86400.0)
