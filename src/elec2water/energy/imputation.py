"""Months that are missing: from the well's own past, and its class's and neighbours' movement in the same month."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from elec2water.energy.arrays import Bools, Floats, Ints, Texts
from elec2water.energy.cells import LAGS
from elec2water.energy.level import fit_credibility
from elec2water.energy.monthly import MonthlyEnergy
from elec2water.energy.movement import fit_movement, follow_years_before
from elec2water.energy.neighbours import neighbour_factor
from elec2water.errors import UsageError
from elec2water.placing import in_place

ENOUGH_WELLS = 4_000
"""Wells without a gap that tell the movement of a class to better than a percent; more only take time."""
_LEAST_SPREAD = 1e-4
_ENOUGH_MONTHS, _QUANTILES = 500, 200


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
        Relative variance of the error that all wells imputed in a month share: the fewer were read, the more of it.
    level_variance : numpy.ndarray, shape (N, M)
        Relative variance of the well's level, an error that its months have in common.
    quantiles : numpy.ndarray, shape (K,)
        Quantiles at (k + ½)/K of the standardised energies of known months, each predicted from the others; the
        normal's without any.
    """

    mean: Floats
    variance: Floats
    zero_share: Floats
    common: Floats
    level_variance: Floats = field(default_factory=lambda: np.zeros(0))
    quantiles: Floats = field(default_factory=lambda: np.zeros(0))

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Give intervals of the law: zero with the zero share, else of the lognormal kind with this mean and variance.

        Central ones; where standing still is likelier than the lower tail, from zero to the quantile of `confidence`.

        Parameters
        ----------
        confidence : float
            Between 0 and 1.

        Returns
        -------
        lower, upper : numpy.ndarray, shape (N, M)
            Bounds [kWh].
        """
        tail = (1.0 - confidence) / 2.0
        from_zero = self.zero_share > tail
        lower = np.where(from_zero, 0.0, self._quantile(np.full(self.mean.shape, tail)))
        return np.where(np.isnan(self.mean), np.nan, lower), self._quantile(np.where(from_zero, confidence, 1.0 - tail))

    def standardised(self, energy: Floats) -> Floats:
        """Give the place of energies in the law of months with pumping, in standard deviations [ln]; NaN at zero."""
        centre, sd = self._pumping_law()
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (np.log(energy) - centre) / sd
        return np.where(energy > 0, z, np.nan)

    def _pumping_law(self) -> tuple[Floats, Floats]:
        pumping = 1.0 - self.zero_share
        with np.errstate(divide="ignore", invalid="ignore"):
            squared_cv = (self.variance + self.mean**2) * pumping / self.mean**2 - 1.0
            log_variance = np.log1p(np.maximum(squared_cv, _LEAST_SPREAD))
            return np.log(self.mean / pumping) - log_variance / 2.0, np.sqrt(log_variance)

    def _quantile(self, level: Floats) -> Floats:
        centre, sd = self._pumping_law()
        inner = np.clip((level - self.zero_share) / (1.0 - self.zero_share), 0.0, 1.0)
        if len(self.quantiles):
            z = np.interp(inner, (np.arange(len(self.quantiles)) + 0.5) / len(self.quantiles), self.quantiles)
        else:
            z = special.ndtri(inner)
        value = np.where(inner > 0, np.nan_to_num(np.exp(centre + sd * z)), 0.0)
        return np.where(np.isnan(self.mean), np.nan, value)


def impute(
    energy: MonthlyEnergy,
    groups: npt.ArrayLike,
    *,
    power_kw: Floats | None = None,
    neighbours: npt.ArrayLike | None = None,
) -> MonthlyEnergy:
    """Fill the missing months of wells that have some energy.

    A Series whose index is ``well_id`` goes by its index; anything else stands in the order of the wells.

    Parameters
    ----------
    energy : MonthlyEnergy
        N wells, M months.
    groups : array_like, shape (N,)
        Class of each well (labels of any kind): wells that irrigate in the same months.
    power_kw : numpy.ndarray, shape (N,), optional
        Rated power [kW]; a well of which little is known is then expected to use energy in proportion to it.
    neighbours : array_like, shape (N,), optional
        Neighbourhood of each well, such as its village (labels of any kind, blank for none).

    Returns
    -------
    MonthlyEnergy
        A new object. Filled months have quality S, the predictive mean and its variance. A month that few or none have
        been read in follows the same month of another year, with a common error; wells without any energy, and months
        nobody has read in any year, stay NaN with quality N.

    Raises
    ------
    UsageError
        If `groups` or `power_kw` does not have N elements.
    """
    labels = _labels(_by_name(groups, energy.well_id), len(energy.well_id))
    size = _sizes(None if power_kw is None else _by_name(power_kw, energy.well_id), len(labels))
    gaps = np.asarray(np.isnan(energy.kwh).any(axis=1))
    if not gaps.any():
        return energy
    asked = np.flatnonzero(gaps | _spoken_for(energy.well_id, labels, ~gaps))
    around = None if neighbours is None else np.asarray(_by_name(neighbours, energy.well_id))[asked]
    law = predict_missing(_rows(energy, asked), labels[asked], power_kw=size[asked], neighbours=around)
    kwh, variance, quality = energy.kwh.copy(), energy.variance.copy(), energy.quality.astype("<U1")
    well, month = np.nonzero(np.isnan(energy.kwh[asked]) & np.isfinite(law.mean))
    kwh[asked[well], month] = law.mean[well, month]
    variance[asked[well], month] = law.variance[well, month]
    quality[asked[well], month] = "S"
    lags = _lags(energy, law, asked, quality[asked] == "S")
    spreading = None if energy.spreading is None else energy.spreading.with_filled(kwh, quality == "S", energy.months)
    return replace(
        energy, kwh=kwh, variance=variance, quality=quality, common=law.common, lags=lags, spreading=spreading
    )


def _lags(energy: MonthlyEnergy, law: Imputation, asked: Ints, filled: Bools) -> Floats:
    """Add the covariance of months of one well that were filled with the same uncertain level."""
    lags = energy.lags.copy() if len(energy.lags) else np.zeros((LAGS, *energy.kwh.shape))
    for k in range(LAGS):
        both = filled[:, : -k - 1] & filled[:, k + 1 :]
        well, month = np.nonzero(both)
        other = month + k + 1
        level = np.sqrt(law.level_variance[well, month] * law.level_variance[well, other])
        lags[k, asked[well], month] = law.mean[well, month] * law.mean[well, other] * level
    return lags


def _rows(energy: MonthlyEnergy, wells: Ints) -> MonthlyEnergy:
    return replace(
        energy,
        well_id=energy.well_id[wells],
        kwh=energy.kwh[wells],
        variance=energy.variance[wells],
        quality=energy.quality[wells],
        reason=energy.reason[wells],
        lags=energy.lags[:, wells],
        split=None,
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


def predict_missing(
    energy: MonthlyEnergy,
    groups: npt.ArrayLike,
    *,
    power_kw: Floats | None = None,
    neighbours: npt.ArrayLike | None = None,
) -> Imputation:
    """Fit the log-additive model of well level and class × month, and predict every well-month from the others.

    The mean of a well-month is level × class-month effect (:func:`~elec2water.energy.movement.fit_movement`). The level
    is a credibility mean (Bühlmann and Straub 1970) of the well's own months, weighted by their effects, and of its
    class's mean per kW. The predictive variance is μ²(c(1 + v) + v), with c the relative variance of the class-month
    and v that of the level; c is fitted to the squared residuals, zeros included, so that spiky months get what they
    earned. The error of the county's effect of a month, common to all wells imputed in it, matters when a large part
    is missing at once; months that few have been read in borrow from other years
    (:func:`~elec2water.energy.movement.follow_years_before`).

    Parameters
    ----------
    energy, groups, power_kw, neighbours
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
    movement, told = follow_years_before(movement, scaled, energy.months)
    model = fit_credibility(scaled, movement)
    if neighbours is not None:
        factor = neighbour_factor(scaled, model.mean, model.spread, pd.factorize(np.asarray(neighbours))[0])
        model = fit_credibility(scaled, movement, factor)
    model = model.like(told.like, told.own)
    known = np.isfinite(energy.kwh).any(axis=1, keepdims=True) & np.isfinite(movement.profile)[movement.group]
    variance = model.variance + told.common * model.mean**2
    law = Imputation(
        mean=np.where(known, model.mean * size[:, None], np.nan),
        variance=np.where(known, variance * size[:, None] ** 2, np.nan),
        zero_share=np.where(known, model.zero_share, np.nan),
        common=told.common,
        level_variance=model.level_variance,
    )
    return replace(law, quantiles=_quantiles(law.standardised(energy.kwh)))


def _quantiles(z: Floats) -> Floats:
    """Give the quantiles that known months show, none where they are too few to tell."""
    shown = z[np.isfinite(z)]
    if len(shown) < _ENOUGH_MONTHS:
        return np.zeros(0)
    return np.quantile(shown, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)


def _by_name(given: npt.ArrayLike, well_id: npt.NDArray[np.object_]) -> npt.ArrayLike:
    """Bring a Series that is indexed by ``well_id`` into the order of the wells."""
    wells = pd.Index(well_id, dtype=object)
    if isinstance(given, pd.Series) and len(given) and given.index.isin(wells).all():
        return np.asarray(in_place(given, [wells], str(given.name)).to_numpy())
    return given


def _labels(groups: npt.ArrayLike, n: int) -> npt.NDArray[Any]:
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise UsageError(f"groups: expected one label for each of the {n} wells, found shape {labels.shape}")
    return labels


def _sizes(power_kw: npt.ArrayLike | None, n: int) -> Floats:
    if power_kw is None:
        return np.ones(n)
    power = np.asarray(power_kw, dtype=np.float64)
    if power.shape != (n,):
        raise UsageError(f"power_kw: expected one number for each of the {n} wells, found shape {power.shape}")
    usual = float(np.median(power[power > 0])) if np.any(power > 0) else 1.0
    return np.where(power > 0, power, usual)
