"""Months that are missing: from the well's own past and its class's movement in the same month."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from elec2water.energy.arrays import Bools, Floats, Ints, Texts
from elec2water.energy.level import fit_credibility
from elec2water.energy.monthly import MonthlyEnergy
from elec2water.energy.movement import BETWEEN_YEARS, fit_movement, follow_years_before
from elec2water.errors import UsageError

ENOUGH_WELLS = 4_000
"""Wells without a gap that tell the movement of a class to better than a percent; more only take time."""
_LEAST_SPREAD = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Imputation:
    """Predictive law of the energy of every well-month, known or not.

    Attributes
    ----------
    mean, variance : numpy.ndarray, shape (N, M)
        Predictive mean [kWh] and variance [kWh²] given the well's other known months; NaN where nothing can be said.
    zero_share : numpy.ndarray, shape (N, M)
        Probability that the well does not pump at all in the month.
    common : numpy.ndarray, shape (M,)
        Relative variance of the error that all wells share in a month that nobody has read; 0 in others.
    """

    mean: Floats
    variance: Floats
    zero_share: Floats
    common: Floats

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Give central intervals of the law: zero with the zero share, else lognormal, with this mean and variance.

        Parameters
        ----------
        confidence : float
            Between 0 and 1.

        Returns
        -------
        lower, upper : numpy.ndarray, shape (N, M)
            Bounds [kWh].
        """
        pumping = 1.0 - self.zero_share
        with np.errstate(divide="ignore", invalid="ignore"):
            squared_cv = (self.variance + self.mean**2) * pumping / self.mean**2 - 1.0
            log_variance = np.log1p(np.maximum(squared_cv, _LEAST_SPREAD))
            centre = np.log(self.mean / pumping) - log_variance / 2.0
        bounds = []
        for level in ((1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0):
            inner = (level - self.zero_share) / pumping
            quantile = np.exp(centre + np.sqrt(log_variance) * special.ndtri(np.clip(inner, 0.0, 1.0)))
            bounds.append(np.where(np.isnan(self.mean), np.nan, np.where(inner > 0, np.nan_to_num(quantile), 0.0)))
        return bounds[0], bounds[1]


def impute(energy: MonthlyEnergy, groups: npt.ArrayLike, *, power_kw: Floats | None = None) -> MonthlyEnergy:
    """Fill the missing months of wells that have some energy.

    Parameters
    ----------
    energy : MonthlyEnergy
        N wells, M months.
    groups : array_like, shape (N,)
        Class of each well (labels of any kind): wells that irrigate in the same months.
    power_kw : numpy.ndarray, shape (N,), optional
        Rated power [kW]; a well of which little is known is then expected to use energy in proportion to it.

    Returns
    -------
    MonthlyEnergy
        A new object. Filled months have quality S, the predictive mean and its variance. A month that nobody has read
        follows the same month of the years before, with a common error; wells without any energy, and months nobody
        has read in any year, stay NaN with quality N.

    Raises
    ------
    UsageError
        If `groups` or `power_kw` does not have N elements.
    """
    labels = _labels(groups, len(energy.well_id))
    size = _sizes(power_kw, len(labels))
    gaps = np.asarray(np.isnan(energy.kwh).any(axis=1))
    if not gaps.any():
        return energy
    asked = np.flatnonzero(gaps | _spoken_for(energy.well_id, labels, ~gaps))
    law = predict_missing(_rows(energy, asked), labels[asked], power_kw=size[asked])
    kwh, variance, quality = energy.kwh.copy(), energy.variance.copy(), energy.quality.astype("<U1")
    well, month = np.nonzero(np.isnan(energy.kwh[asked]) & np.isfinite(law.mean))
    kwh[asked[well], month] = law.mean[well, month]
    variance[asked[well], month] = law.variance[well, month]
    quality[asked[well], month] = "S"
    return replace(energy, kwh=kwh, variance=variance, quality=quality, common=law.common)


def _rows(energy: MonthlyEnergy, wells: Ints) -> MonthlyEnergy:
    return replace(
        energy,
        well_id=energy.well_id[wells],
        kwh=energy.kwh[wells],
        variance=energy.variance[wells],
        quality=energy.quality[wells],
    )


def _spoken_for(well_id: Texts, labels: npt.NDArray[Any], complete: Bools) -> Bools:
    """Choose the complete wells that tell how their class moves: all of a small class, some thousands of a large one.

    The choice goes by a hash of the identifier, so that it does not depend on the order of the wells.
    """
    if np.count_nonzero(complete) <= ENOUGH_WELLS:
        return complete
    code, names = pd.factorize(labels, use_na_sentinel=False)
    step = 1 + np.bincount(code[complete], minlength=len(names)) // ENOUGH_WELLS
    chosen = complete.copy()
    crowded = np.flatnonzero(complete & (step[code] > 1))
    mixed = pd.util.hash_array(well_id[crowded], categorize=False)
    chosen[crowded] = mixed % step[code[crowded]].astype(np.uint64) == 0
    return chosen


def predict_missing(energy: MonthlyEnergy, groups: npt.ArrayLike, *, power_kw: Floats | None = None) -> Imputation:
    """Fit the log-additive model of well level and class × month, and predict every well-month from the others.

    The mean of a well-month is level × class-month effect (:func:`~elec2water.energy.movement.fit_movement`). The level
    is a credibility mean (Bühlmann and Straub 1970) of the well's own months, weighted by their effects, and of its
    class's mean per kW. The predictive variance is μ²(c(1 + v) + v), with c the relative variance of the class-month
    and v that of the level; c is fitted to the squared residuals, zeros included, so that spiky months get what they
    earned. The error of a class-month effect is common to the wells imputed in it and not part of the variance: it
    matters when a large part of a class is missing at once.

    Parameters
    ----------
    energy, groups, power_kw
        As for :func:`impute`.

    Returns
    -------
    Imputation
        For known well-months too, as if they had been missing: this is what a hidden-month test compares.
    """
    n = len(energy.well_id)
    labels = _labels(groups, n)
    size = _sizes(power_kw, n)
    scaled = energy.kwh / size[:, None]
    movement = fit_movement(scaled, labels)
    movement, like = follow_years_before(movement, energy.months)
    model = fit_credibility(scaled, movement).like(like)
    known = np.isfinite(energy.kwh).any(axis=1, keepdims=True) & np.isfinite(movement.profile)[movement.group]
    common = np.where(like != np.arange(len(like)), BETWEEN_YEARS, 0.0)
    variance = model.variance + common * model.mean**2
    return Imputation(
        mean=np.where(known, model.mean * size[:, None], np.nan),
        variance=np.where(known, variance * size[:, None] ** 2, np.nan),
        zero_share=np.where(known, model.zero_share, np.nan),
        common=common,
    )


def _labels(groups: npt.ArrayLike, n: int) -> npt.NDArray[Any]:
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise UsageError(f"groups: expected one label for each of the {n} wells, found shape {labels.shape}")
    return labels


def _sizes(power_kw: Floats | None, n: int) -> Floats:
    if power_kw is None:
        return np.ones(n)
    power = np.asarray(power_kw, dtype=np.float64)
    if power.shape != (n,):
        raise UsageError(f"power_kw: expected one number for each of the {n} wells, found shape {power.shape}")
    usual = float(np.median(power[power > 0])) if np.any(power > 0) else 1.0
    return np.where(power > 0, power, usual)
