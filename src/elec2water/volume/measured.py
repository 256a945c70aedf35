"""What water meters measured within a quarter, month by month."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elec2water.pairs import Measurements

Floats = NDArray[np.float64]

_WHOLE_MONTH = 0.98


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
    n_wells: int,
    *,
    meter_rel_u: float,
    pair_error: float,
) -> MeasuredMonths:
    """Lay the pairs of working water meters over calendar months; an interval that crosses months is split by days.

    Parameters
    ----------
    measured : Measurements
    working : (R,)
        False for pairs whose water meter is not believed; their months are converted like any other.
    months : (M,) datetime64[M]
    n_wells : int
        N of the registry.
    meter_rel_u : float
        Relative standard uncertainty of a water meter that states none.
    pair_error : float
        Variance of the error of one pair.
    """
    pairs = measured.take(np.flatnonzero(working & ~measured.test & (measured.days > 0)))
    wells, well = np.unique(pairs.well, return_inverse=True)
    volume, energy, days, squares = (np.zeros((wells.size, months.size)) for _ in range(4))
    for m, month in enumerate(months):
        overlap = _overlap_days(pairs, month)
        share = overlap / pairs.days
        for target, value in ((volume, pairs.volume_m3 * share), (energy, pairs.energy_kwh * share), (days, overlap)):
            target[:, m] = np.bincount(well, weights=value, minlength=wells.size)
        squares[:, m] = np.bincount(well, weights=(pairs.volume_m3 * share) ** 2, minlength=wells.size)
    length = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.float64)
    whole = days >= _WHOLE_MONTH * length
    total = np.where(whole, volume, 0.0).sum(axis=1)
    repeat = pair_error * np.where(whole, squares, 0.0).sum(axis=1) / np.where(total > 0, total, 1.0) ** 2
    u = np.full(n_wells, meter_rel_u)
    stated = np.isfinite(measured.meter_rel_u)
    u[measured.well[stated]] = measured.meter_rel_u[stated]
    own = u**2
    own[wells] += repeat
    volume_m3, energy_kwh = (np.full((n_wells, months.size), np.nan) for _ in range(2))
    volume_m3[wells], energy_kwh[wells] = np.where(whole, volume, np.nan), np.where(whole, energy, np.nan)
    return MeasuredMonths(volume_m3, energy_kwh, u, own)


def _overlap_days(pairs: Measurements, month: np.datetime64) -> Floats:
    start = np.maximum(pairs.start, month.astype("datetime64[s]"))
    end = np.minimum(pairs.end, (month + 1).astype("datetime64[s]"))
    seconds = (end - start).astype("timedelta64[s]").astype(np.float64)
    return np.asarray(np.maximum(seconds, 0.0) / 86400.0)
