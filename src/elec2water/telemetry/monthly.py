"""Pairs of telemetered wells as coefficients by well and month."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import month_of
from elec2water.errors import UsageError
from elec2water.pairs import Measurements, measurements

Floats = NDArray[np.float64]
Months = NDArray[np.datetime64]

_SMALL_MONTH = 0.05


@dataclass(frozen=True)
class MonthlyCoefficients:
    """Coefficients measured, by well and month.

    Attributes
    ----------
    well_id : (N,)
        Wells with at least one month.
    months : (T,) datetime64[M]
        Consecutive.
    log_kappa : (N, T)
        ln of m³/kWh; NaN where nothing was measured.
    noise : (N, T)
        Variance of a reading's error against that of an ordinary month; a month with hardly any energy says little.
    usual_kwh : (N,)
        Mean energy of the months measured.
    """

    well_id: NDArray[np.object_]
    months: Months
    log_kappa: Floats
    noise: Floats
    usual_kwh: Floats


def monthly_coefficients(pairs: pd.DataFrame, wells: pd.DataFrame) -> MonthlyCoefficients:
    """Lay the monthly pairs of metered wells out by well and month; short tests are left to the coefficient.

    An interval belongs to the month of its middle; several of one month are added up.

    Parameters
    ----------
    pairs, wells : DataFrame
        Tables of the contract.

    Raises
    ------
    UsageError
        No monthly pair of a registered well.
    """
    well_id = wells["well_id"].to_numpy(dtype=object)
    measured = measurements(pairs, well_id)
    measured = measured.take(np.flatnonzero(~measured.test & ~np.isnat(measured.middle)))
    if measured.well.size == 0:
        raise UsageError(
            f"pairs: expected monthly pairs (kind meter) of registered wells, found none in {len(pairs)} rows"
        )
    month = month_of(measured.middle)
    months = np.arange(month.min(), month.max() + 1)
    place, row = np.unique(measured.well, return_inverse=True)
    volume, energy = by_month(measured, np.asarray(row, dtype=np.intp), place.size, months)
    usual = energy.sum(axis=1) / np.maximum((energy > 0).sum(axis=1), 1)
    log_kappa, noise = coefficients_of(volume, energy, usual)
    return MonthlyCoefficients(well_id[place], months, log_kappa, noise, usual)


def by_month(measured: Measurements, row: NDArray[np.intp], n: int, months: Months) -> tuple[Floats, Floats]:
    """Volume and energy of ``n`` wells by month, (n, T); ``row`` (R,) is the well of each pair."""
    column = (month_of(measured.middle) - months[0]).astype(np.intp)
    flat = row * months.size + column
    shape = (n, months.size)
    volume = np.bincount(flat, measured.volume_m3, n * months.size).reshape(shape)
    energy = np.bincount(flat, measured.energy_kwh, n * months.size).reshape(shape)
    return np.asarray(volume, dtype=np.float64), np.asarray(energy, dtype=np.float64)


def coefficients_of(volume: Floats, energy: Floats, usual_kwh: Floats) -> tuple[Floats, Floats]:
    """Logarithm of κ (NaN without energy) and the relative variance of its error, (N, T) each."""
    read = energy > 0.0
    safe = np.where(read, energy, 1.0)
    log_kappa = np.where(read, np.log(np.where(read, volume, 1.0) / safe), np.nan)
    small = _SMALL_MONTH * usual_kwh[:, None] / safe
    return log_kappa, np.where(read, 1.0 + small**2, 1.0)
