"""How old the measurement of each sample well is, by the calendar and by what has changed since.

A coefficient measured once is carried on: wear and water levels move its mean, and the spread of wells' own drift
widens it. Both come out of the posterior. The *effective age* of a measurement is the time in which a typical well with
a steady water level and the pump it had would have changed as much; a well whose water table fell or whose pump was
replaced is older than the calendar says, one that is metered every month is as good as new.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import decimal_year, quarter_months
from elec2water.coefficient import Coefficient
from elec2water.coefficient.features import OF_WATER, FeatureSpec
from elec2water.coefficient.posterior import DRIFT_MEMORY_YEARS
from elec2water.findings import Findings, findings_of
from elec2water.levels import depth_by_well
from elec2water.volume import Volume

Floats = NDArray[np.float64]

MOST_YEARS = 20.0
_YEAR = 12
_GRID = np.linspace(0.0, MOST_YEARS, 401)


@dataclass(frozen=True)
class ExpiryRule:
    """From when on a measurement is called old.

    Attributes
    ----------
    by : {"posterior", "age"}
        By effective age, or by the calendar as a province may rule.
    warn_years, flag_years : float
        Beyond the first the coefficient is said to be corrected and widened, beyond the second to need a test.
    """

    by: str = "posterior"
    warn_years: float = 1.0
    flag_years: float = 4.0


def measurement_ages(
    coefficient: Coefficient, volume: Volume, wells: pd.DataFrame, water_levels: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Tell of every sample well of a quarter how old its last measurement is and what it has been through since.

    Water levels are compared over whole years, the year up to the measurement and the year up to the quarter, so that
    the season is no age.

    Parameters
    ----------
    coefficient : Coefficient
    volume : Volume
        Of the quarter.
    wells : DataFrame
        Registry in the order of ``volume``.
    water_levels : DataFrame, optional

    Returns
    -------
    DataFrame
        ``well_id, last_measured_on, age_years, correction`` (relative change of the expected coefficient since then by
        wear and water level), ``sd_then, sd_now`` (of ln κ, from the well's own path), ``effective_age_years`` (at most
        20) and ``energy_kwh`` of the quarter.
    """
    coefficient = coefficient.placed(volume.wells.well_id)
    posterior = volume.posterior
    months = quarter_months(volume.quarter)
    now = np.datetime64(months[1].astype("datetime64[s]")) + np.timedelta64(15, "D")
    last = _last(coefficient, now)
    years = np.maximum((now - last) / np.timedelta64(1, "s") / (365.25 * 86400.0), 0.0)
    pumps, every = coefficient.equipment.history(coefficient.sample_id), np.arange(last.size)
    then = posterior.paths(decimal_year(last), pumps.number(every, last)).variance
    path_now = volume.wells.path_variance[posterior.sample]
    fallen = _level_change(wells.iloc[posterior.sample], water_levels, last, now, coefficient.spec)
    correction = _correction(coefficient, volume, last, now, fallen)
    widening = np.where(years > 0.0, np.maximum(path_now - then, 0.0), 0.0)
    end = last - np.timedelta64(1, "s")
    return pd.DataFrame(
        {
            "well_id": coefficient.sample_id,
            "last_measured_on": end.astype("datetime64[D]").astype("datetime64[s]"),
            "age_years": years,
            "correction": np.expm1(correction),
            "sd_then": np.sqrt(then),
            "sd_now": np.sqrt(path_now),
            "effective_age_years": _effective_age(coefficient, correction**2 + widening),
            "energy_kwh": np.nan_to_num(volume.wells.kwh[posterior.sample]),
        }
    )


def expiry_findings(
    coefficient: Coefficient,
    volume: Volume,
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None = None,
    *,
    rule: ExpiryRule | None = None,
    lang: str = "zh",
) -> Findings:
    """Name the sample wells whose measurement is old, what it was corrected by, and those that need a test."""
    rule = rule or ExpiryRule()
    ages = measurement_ages(coefficient, volume, wells, water_levels)
    counted = ages["effective_age_years" if rule.by == "posterior" else "age_years"]
    old = ages.loc[(counted > rule.warn_years) & (counted <= rule.flag_years)]
    past = ages.loc[counted > rule.flag_years]
    return _named("EXPIRY_CORRECTED", old, rule.warn_years, lang) + _named("EXPIRY_PAST", past, rule.flag_years, lang)


def _named(rule: str, ages: pd.DataFrame, limit: float, lang: str) -> Findings:
    return findings_of(
        rule,
        table="pairs",
        well_id=ages["well_id"].to_numpy(dtype=object),
        period=ages["last_measured_on"].dt.strftime("%Y-%m-%d").to_numpy(dtype=object),
        observed=ages["effective_age_years"].map("{:.1f}".format).tolist(),
        limit=limit,
        age=ages["age_years"].map("{:.1f}".format).tolist(),
        correction=ages["correction"].map("{:+.1%}".format).tolist(),
        sd_then=ages["sd_then"].map("{:.1%}".format).tolist(),
        sd_now=ages["sd_now"].map("{:.1%}".format).tolist(),
        energy_kwh=ages["energy_kwh"].to_numpy(),
        lang=lang,
    )


def _last(coefficient: Coefficient, now: np.datetime64) -> NDArray[np.datetime64]:
    """End of the last pair of every sample well (W,), at most ``now``; a pair without a date counts as new."""
    measured, well = coefficient.measured, coefficient.posterior.rows.well
    end = np.where(np.isnat(measured.end), now, measured.end)
    order = np.lexsort((end, well))
    at = order[np.searchsorted(well[order], np.arange(coefficient.sample_id.size), side="right") - 1]
    return np.asarray(np.minimum(end[at], now))


def _level_change(
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None,
    last: NDArray[np.datetime64],
    now: np.datetime64,
    spec: FeatureSpec,
) -> Floats:
    """Change of the yearly mean of ln head, bent, from the year up to the last pair to that up to now, (W,)."""
    if water_levels is None or water_levels.empty or not last.size:
        return np.zeros(last.size)
    end = now.astype("datetime64[M]")
    months = np.arange(last.min().astype("datetime64[M]") - _YEAR + 1, end + 1)
    depth = depth_by_well(wells, water_levels, months).depth_m
    known = np.isfinite(depth) & (depth > 0.0)
    head = depth + spec.beyond(wells)[:, None]
    total = np.cumsum(np.where(known, np.log(np.where(known, head, 1.0)), 0.0), axis=1)
    count = np.asarray(np.cumsum(known, axis=1), dtype=np.int64)
    then = (last.astype("datetime64[M]") - months[0]).astype(np.intp)
    today = np.full(last.size, months.size - 1, dtype=np.intp)
    return spec.bent(_year_mean(total, count, today) - _year_mean(total, count, then))


def _year_mean(total: Floats, count: NDArray[np.int64], at: NDArray[np.intp]) -> Floats:
    """Mean over the twelve columns up to ``at`` (W,) of running sums; NaN where nothing is known."""
    rows = np.arange(at.size)
    before = at - _YEAR
    inside = before >= 0
    sums = total[rows, at] - np.where(inside, total[rows, before], 0.0)
    n = count[rows, at] - np.where(inside, count[rows, before], 0)
    return np.asarray(np.divide(sums, n, out=np.full(at.size, np.nan), where=n > 0))


def _correction(
    coefficient: Coefficient,
    volume: Volume,
    last: NDArray[np.datetime64],
    now: np.datetime64,
    fallen: Floats,
) -> Floats:
    """Change of the expected ln κ of the sample wells from their last measurement to now, by wear and water level."""
    posterior, spec = volume.posterior, coefficient.spec
    layout, every = posterior.layout, np.arange(last.size)
    names = layout.moving_names
    effect = {name: float(posterior.mean[layout.moving_start + names.index(name)]) for name in ("years", *OF_WATER)}
    water = sum(effect[name] for name in OF_WATER)
    pumps = coefficient.equipment.history(coefficient.sample_id)
    moments = np.full(last.size, now)
    worn_now = decimal_year(moments) - spec.worn_since(pumps.since(every, moments))
    worn_then = decimal_year(last) - spec.worn_since(pumps.since(every, last))
    return np.asarray(effect["years"] * (worn_now - worn_then) + water * np.nan_to_num(fallen))


def _effective_age(coefficient: Coefficient, change: Floats) -> Floats:
    """Years in which a typical well changes as much: wear by its prior mean, drift by what it forgets of its state."""
    wear = coefficient.spec.wear[0] or -1e-3
    drift = coefficient.posterior.variance["drift"]
    typical = (wear * _GRID) ** 2 + drift * -np.expm1(-2.0 * _GRID / DRIFT_MEMORY_YEARS)
    return np.asarray(np.interp(change, typical, _GRID))
