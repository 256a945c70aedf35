"""Where the water stands after the last observation of it: foretold by season and trend, and how far that may be off.

Without season, ln head x of a well walks: from the last month L on, ``x(L + h) = x(L) + r h + e``. The rate r of a
year is learned from the years that were seen, and so is how much one year differs from the next, s: with n yearly
changes of mean D, ``r ~ N(v n D / s², v)``, ``1/v = 1/τ² + n/s²``, and ``var x(L + h) = v h² + s² h``: a random walk
with drift. The season is that of the year before L. The error is common to the wells of an aquifer.

A county that pumps half as much again in a dry year draws its water down further than other years tell: what nobody
observes then is wider by :data:`PUMPED` for a factor e between the pumping of a year and that of the year of the fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.levels import observation_days, observed_wells

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Months = NDArray[np.datetime64]

RATE = 0.02
"""Standard deviation of what a water table of which nothing is known does to ln head in a year (0.7 m of 35 m)."""
YEAR_TO_YEAR = 0.02
"""What one year differs from the next by, before any year was seen; as certain as from four years."""
PUMPED = 0.08
"""Standard deviation of what pumping e times as much for a year does to ln head. Assumed: 200 mm of irrigation drawn
from a specific yield of 0.05 to 0.1 are 2 to 4 m more than usual, of a head of 40 m 5 to 10 %."""
_WELLS_THAT_TELL = 50_000
"""Wells by which a county's electricity of a month is known to far better than a percent of another's."""
_YEARS_BELIEVED = 4.0
_YEAR = 12
_YEARS_BACK = 10
_NEVER = np.datetime64("NaT", "M")


@dataclass(frozen=True)
class Foretold:
    """Movement of ln head of N wells in M months, and its standard deviation by group of wells where unseen, (A, M)."""

    level: Floats
    sd: Floats


def last_observed(wells: pd.DataFrame, water_levels: pd.DataFrame | None, group: Ints, n_groups: int) -> Months:
    """Give the last month with a depth to water in each group of wells (N,), (A,); NaT where there is none at all.

    A group of which nothing was observed follows the others, and so does its last month.
    """
    last = np.full(n_groups, _NEVER)
    if water_levels is None or water_levels.empty:
        return last
    day = observation_days(water_levels)
    seen = np.isfinite(day) & np.isfinite(water_levels["depth_m"].to_numpy(dtype=np.float64, na_value=np.nan))
    if not seen.any():
        return last
    month = np.where(seen, day, 0.0).astype(np.int64).astype("datetime64[D]").astype("datetime64[M]")
    of_row = _groups_of_rows(wells, water_levels, group)
    for code in range(n_groups):
        mine = month[seen & (of_row == code)]
        last[code] = mine.max() if mine.size else _NEVER
    return np.where(np.isnat(last), month[seen].max(), last)


def _groups_of_rows(wells: pd.DataFrame, water_levels: pd.DataFrame, group: Ints) -> Ints:
    """Give the group of each observation by its well, else by its aquifer; -1 where neither is known."""
    well = observed_wells(water_levels, wells)
    of_row = np.where(well >= 0, group[well], -1)
    if "aquifer" in water_levels.columns and "aquifer" in wells.columns:
        one_of_each = np.flatnonzero(~wells["aquifer"].duplicated().to_numpy(dtype=bool))
        by_name = pd.Series(group[one_of_each], index=wells["aquifer"].iloc[one_of_each].astype("str").to_numpy(object))
        place = by_name.index.get_indexer(pd.Index(water_levels["aquifer"].astype("str").to_numpy(dtype=object)))
        of_row = np.where((of_row < 0) & (place >= 0), by_name.to_numpy()[place], of_row)
    return np.asarray(of_row, dtype=np.intp)


Movement = Callable[[Months, Ints], Floats]


def foretell(
    level: Floats, months: Months, group: Ints, span: tuple[Months, np.datetime64], told_by: Ints, movement: Movement
) -> Foretold:
    """Give wells the movement of ln head foretold for the months after the last observation.

    Parameters
    ----------
    level : (N, M)
        What is known of ``months`` (M,).
    group : (N,)
        Aquifer of each well.
    span : last, first
        Last month observed in each group (A,), and the first of all.
    told_by : (n,)
        Places of the wells that tell the rates: enough of each group, and all that were observed themselves.
    movement : callable
        Gives the movement of some wells in some months, (n, K).
    """
    last, first = span
    ahead = np.where(np.isnat(last)[:, None], 0, _months_between(last[:, None], months))
    sd = np.zeros((last.size, months.size))
    filled = level.copy() if (ahead > 0).any() else level
    for code in np.flatnonzero((ahead > 0).any(axis=1)):
        mine, later = np.flatnonzero(group == code), np.flatnonzero(ahead[code] > 0)
        year = movement(np.arange(last[code] - _YEAR, last[code] + 1), mine)
        if not np.isfinite(year).any():
            continue
        rate = _learned(movement, told_by[group[told_by] == code], last[code], first)
        h = ahead[code, later] / _YEAR
        sd[code, later] = np.sqrt(rate.variance * h**2 + rate.yearly**2 * h)
        told = _continued(year, ahead[code, later], rate.mean)
        here = np.ix_(mine, later)
        filled[here] = np.where(np.isfinite(told), told, filled[here])
    return Foretold(filled, sd)


def _months_between(start: Months, end: Months) -> NDArray[np.int64]:
    return np.asarray((end - start).astype("timedelta64[M]").astype(np.int64))


def unknown_sd(months: Months, last: Months) -> Floats:
    """Give the standard deviation of ln head after the last months known (A,), where no year tells its rate, (A, M)."""
    h = np.maximum(_months_between(last[:, None], months), 0) / _YEAR
    return np.asarray(np.sqrt(RATE**2 * h**2 + YEAR_TO_YEAR**2 * h))


def pumping_anomaly(kwh: Floats, energy_months: Months, months: Months, fitted: np.datetime64) -> Floats:
    """Give ln of the electricity of a county in the year that ends with a month over that of the year of the fit, (M,).

    Month by month against the same calendar month of the year that ends with ``fitted``, by the wells known in both
    (of very many every so manyth); zero where no month is known in both, and up to ``fitted``.

    Parameters
    ----------
    kwh : (N, E)
        Energy [kWh] of wells in ``energy_months`` (E,), consecutive; NaN where unknown.
    energy_months, months : (E,), (M,)
        ``datetime64[M]``.
    fitted : datetime64[M]
    """
    found = np.zeros(months.size)
    kwh = kwh[:: max(1, len(kwh) // _WELLS_THAT_TELL)]
    sums: dict[int, Floats] = {}
    for k, month in enumerate(months):
        if month <= fitted:
            continue
        pairs = [_now_and_then(kwh, energy_months, month - back, fitted, sums) for back in range(_YEAR)]
        now, then = np.sum(pairs, axis=0)
        if now > 0 and then > 0:
            found[k] = np.log(now / then)
    return found


def _now_and_then(
    kwh: Floats, months: Months, month: np.datetime64, fitted: np.datetime64, sums: dict[int, Floats]
) -> Floats:
    """Sum a month and the same month of the year of the fit over the wells known in both, (2,); none of either else."""
    ahead = int((month - fitted).astype(np.int64))
    first = int((month - months[0]).astype(np.int64))
    same = first - _YEAR * max(0, -(-ahead // _YEAR))
    if not 0 <= same <= first < months.size:
        return np.zeros(2)
    if first not in sums:
        both = np.where(np.isfinite(kwh[:, [first]] + kwh[:, [same]]), kwh[:, [first, same]], 0.0)
        sums[first] = both.sum(axis=0)
    return sums[first]


def _continued(year: Floats, ahead: NDArray[np.int64], rate: float) -> Floats:
    """Season of the year up to the last month seen (n, 13), with level and trend of its end, ``ahead`` (K,) months."""
    years = -(-ahead // _YEAR)
    back = years * _YEAR - ahead
    now, year_ago = year[:, -1:], year[:, :1]
    surprise = np.nan_to_num(now - year_ago - rate)
    season = year[:, _YEAR - back] + rate * years + surprise * (back / _YEAR)
    return np.where(np.isfinite(season), season, now + rate * ahead / _YEAR)


@dataclass(frozen=True)
class _Rate:
    """Rate of a year of ln head, its variance, and the standard deviation of one year against the next."""

    mean: float
    variance: float
    yearly: float


def _learned(movement: Movement, wells: Ints, last: np.datetime64, first: np.datetime64) -> _Rate:
    whole = min(int((last + 1 - first).astype("timedelta64[M]").astype(np.int64)) // _YEAR, _YEARS_BACK)
    nothing = _Rate(0.0, RATE**2, YEAR_TO_YEAR)
    if whole < 2 or not wells.size:
        return nothing
    seen = movement(np.arange(last - whole * _YEAR + 1, last + 1), wells)
    known = np.isfinite(seen).all(axis=1)
    if not known.any():
        return nothing
    change = np.diff(seen[known].mean(axis=0).reshape(whole, _YEAR).mean(axis=1))
    square = _YEARS_BELIEVED * YEAR_TO_YEAR**2 + float(((change - change.mean()) ** 2).sum())
    yearly = square / (_YEARS_BELIEVED + change.size - 1)
    variance = 1.0 / (1.0 / RATE**2 + change.size / yearly)
    return _Rate(float(variance * change.sum() / yearly), variance, float(np.sqrt(yearly)))
