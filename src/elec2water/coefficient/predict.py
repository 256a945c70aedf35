"""Forecasting the coefficient over the energy of chosen pairs, for wells with and without pairs of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import month_of
from elec2water.coefficient.context import WellContext
from elec2water.coefficient.posterior import Posterior
from elec2water.coefficient.result import Coefficient
from elec2water.coefficient.rows import measured_rows, pumping_of_pairs
from elec2water.energy import MonthlyEnergy
from elec2water.pairs import Measurements

Floats = NDArray[np.float64]

_LEVEL_KEPT = 0.5


@dataclass(frozen=True)
class WellForecast:
    """Forecast of the measured coefficient of W wells over the energy of their pairs.

    ``well`` (W,) places in the registry, ``mean`` (W,) [m³/kWh], ``log_variance`` (W,) of what a water meter would
    show, and ``features`` (W, q) the regressors of the model, for plain regressions.
    """

    well: NDArray[np.intp]
    mean: Floats
    log_variance: Floats
    features: Floats


def forecast_pairs(
    coefficient: Coefficient,
    measured: Measurements,
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None,
    energy: MonthlyEnergy | None,
) -> WellForecast:
    """Forecast κ of each well over the intervals of some pairs that the fit may not have seen.

    The same algebra as for volumes: shared effects with their joint error, a well's own path where it has pairs in
    the fit, and the errors of the pairs that are forecast.
    """
    coefficient = coefficient.placed(wells["well_id"].to_numpy(dtype=object))
    month = month_of(
        np.where(np.isnat(measured.middle), coefficient.windows.level[-1].astype("datetime64[s]"), measured.middle)
    )
    months = np.union1d(coefficient.posterior.layout.months, np.arange(month.min(), month.max() + 1))
    context = coefficient.context(wells, water_levels, energy, months)
    coefficient = coefficient.equipped(context)
    posterior = coefficient.posterior.covering(months)
    place, rows = measured_rows(measured, context, coefficient.spec, posterior.layout, coefficient.known_pumps(context))
    n_wells = place.size
    weight = measured.energy_kwh / np.bincount(rows.well, weights=measured.energy_kwh)[rows.well]
    X = rows.matrix()
    mean_time = np.asarray(np.bincount(rows.well, weight * rows.time), dtype=np.float64)
    own_offset, own_variance, gain = _own_paths(
        posterior, places=place, times=mean_time, pumps=_last(rows.pump, rows.well)
    )
    own_variance += np.where(np.isin(place, posterior.sample), 0.0, unseen_blanks(context, posterior)[place])
    X = X - gain[rows.well]
    average = np.zeros((n_wells, X.shape[1]))
    np.add.at(average, rows.well, weight[:, None] * X)
    shared = np.einsum("wi,ij,wj->w", average, posterior.covariance, average, optimize=True)
    shift = np.where(
        np.isin(place, posterior.sample),
        shared,
        np.einsum("wi,ij,wj->w", average, posterior.unbiasing, average, optimize=True),
    )
    pumping = pumping_of_pairs(measured, context, posterior.layout)
    log_kappa = np.log(pumping) + X @ posterior.mean + (own_offset + 0.5 * own_variance + 0.5 * shift)[rows.well]
    mean = np.asarray(np.bincount(rows.well, weight * np.exp(log_kappa)), dtype=np.float64)
    error = posterior.variance["error"] * rows.scale + rows.extra
    repeat = np.bincount(rows.well, weights=weight**2 * error)
    meter = coefficient.options.meter_rel_u**2
    return WellForecast(place, mean, shared + own_variance + repeat + meter, context.static.dense[place])


def blank_variance(context: WellContext, posterior: Posterior) -> Floats:
    """Variance of ln κ that a blank attribute leaves: slope² × spread of the attribute.

    And that of a factor's new level.
    """
    q = context.static.dense.shape[1]
    slope2 = posterior.mean[:q] ** 2 + np.diag(posterior.covariance)[:q]
    variance = context.static.blank @ slope2
    for k, factor in enumerate(posterior.layout.factors):
        new = context.static.codes[:, k] < 0
        variance += new * (posterior.variance[factor.variance] if factor.variance else factor.sd**2)
    return np.asarray(variance)


def unseen_blanks(context: WellContext, posterior: Posterior) -> Floats:
    """Variance of ln κ (N,) that the blanks of each well leave beyond those of the wells that were measured.

    What blanks of measured wells leave is in the variance of levels already, which is learned from them: that variance
    is of wells with as many blanks, and less than it, by no more than half, for a well that has fewer.
    """
    left = blank_variance(context, posterior)
    counted = float(left[posterior.sample].mean()) if posterior.sample.size else 0.0
    return np.maximum(left - counted, -_LEVEL_KEPT * posterior.variance["level"])


def _last(values: NDArray[np.intp], well: NDArray[np.intp]) -> NDArray[np.intp]:
    return values[np.searchsorted(well, np.arange(well.max() + 1), side="right") - 1]


def _own_paths(
    posterior: Posterior, *, places: NDArray[np.intp], times: Floats, pumps: NDArray[np.intp]
) -> tuple[Floats, Floats, Floats]:
    v = posterior.variance
    n, W = places.size, posterior.sample.size
    offset, variance = np.zeros(n), np.full(n, v["level"] + v["drift"])
    at = pd.Index(posterior.sample).get_indexer(pd.Index(places))
    known = at >= 0
    when, which = np.full(W, times.mean()), np.zeros(W, dtype=np.intp)
    when[at[known]], which[at[known]] = times[known], pumps[known]
    paths = posterior.paths(when, which)
    gain = np.zeros((n, posterior.layout.size))
    offset[known], variance[known], gain[known] = (
        paths.offset[at[known]],
        paths.variance[at[known]],
        paths.gain[at[known]],
    )
    return offset, variance, gain
