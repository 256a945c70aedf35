"""How good the coefficients are: wells and seasons held out, against what offices use today."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, special

from elec2water.calendar_ import month_of
from elec2water.coefficient import FitOptions, fit_coefficient
from elec2water.coefficient.context import in_order_of, registered_ids
from elec2water.coefficient.nested import fit_nested
from elec2water.coefficient.predict import forecast_pairs
from elec2water.energy import MonthlyEnergy
from elec2water.errors import UsageError
from elec2water.pairs import Measurements, measurements
from elec2water.stats import crps_lognormal, lognormal_interval
from elec2water.strata import classify
from elec2water.threads import one_thread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

LEVELS = (0.5, 0.9, 0.95)
PlotKind = Literal["observed_predicted", "coverage", "pit"]
METHODS = ("model", "class_mean", "ratio", "regression", "mixed_model")
_SEASON_MONTHS = 6
_DEPENDENT = 1e-8


@dataclass(frozen=True)
class Validation:
    """Held-out pairs and their forecasts.

    Attributes
    ----------
    accuracy : DataFrame
        ``held_out, method, n_wells, total_error, mean_error, mean_absolute_error, weighted_absolute_error, rmse_log,
        crps_m3_per_kwh``: errors of κ by well. ``total_error`` is Σ error / Σκ, which tells whether a method reads
        high; the mean of the relative errors does not: of right means of wells that differ by σ in ln κ it is
        exp(σ²) − 1.
        ``weighted`` is Σ|error|/Σκ; the CRPS of a method without an interval is its absolute error.
    calibration : DataFrame
        ``held_out, level, coverage, n_wells, mean_width`` of the model's intervals.
    forecasts : DataFrame
        A row a held-out well: observed and forecast κ with interval.
    """

    accuracy: pd.DataFrame
    calibration: pd.DataFrame
    forecasts: pd.DataFrame

    def __repr__(self) -> str:
        wells = self.accuracy.groupby("held_out", sort=False)["n_wells"].max()
        held = ", ".join(f"{n} {what}" for what, n in wells.items())
        return f"Validation({held})\n{self.accuracy.to_string(index=False)}\n{self.calibration.to_string(index=False)}"

    def _repr_html_(self) -> str:
        return self.accuracy.to_html(index=False) + self.calibration.to_html(index=False)

    def plot(self, kind: PlotKind = "observed_predicted", **options: object) -> Axes:
        """Draw forecasts or calibration.

        Parameters
        ----------
        kind : {"observed_predicted", "coverage", "pit"}
            Function of :mod:`elec2water.plot`.
        **options
            As for that function.

        Returns
        -------
        matplotlib.axes.Axes
        """
        frame = self.calibration if kind == "coverage" else self.forecasts
        axes: Axes = getattr(import_module("elec2water.plot"), kind)(frame, **options)
        return axes


@one_thread
def validate_coefficient(
    pairs: pd.DataFrame,
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None = None,
    *,
    energy: MonthlyEnergy | None = None,
    options: FitOptions | None = None,
    folds: int = 10,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Validation:
    """Hold out wells in turn, then the last season, and compare what is forecast with what was measured.

    Parameters
    ----------
    pairs, wells, water_levels, energy, options
        As for :func:`elec2water.coefficient.fit_coefficient`.
    folds : int
        Parts in which the sample wells are held out.
    seed : int
        Which wells go into which part.
    progress : callable, optional
        Told in words what is being done.

    Returns
    -------
    Validation
        Accuracy and calibration by kind of hold-out, and every forecast behind them.

    Raises
    ------
    UsageError
        Fewer than three sample wells; registry and electricity as for a fit.
    """
    tell = progress or (lambda _: None)
    options = options or FitOptions()
    well_id = registered_ids(wells)
    energy = None if energy is None else in_order_of(wells, energy)
    measured = measurements(pairs, well_id)
    sampled = np.unique(measured.well)
    if sampled.size < 3:
        raise UsageError(f"validate: expected at least 3 sample wells with usable pairs, found {sampled.size}")
    strata = classify(
        wells, options.strata_by, breaks=dict(options.strata_breaks), classes=options.strata_classes
    ).labels
    county = _Known(pairs, wells, water_levels, energy, options, measured, strata)
    parts = np.arange(sampled.size) % min(folds, sampled.size)
    parts = np.random.default_rng(seed).permutation(parts)
    forecasts = []
    for k in range(int(parts.max()) + 1):
        tell(f"wells held out: part {k + 1} of {int(parts.max()) + 1}")
        forecasts.append(_forecast("wells", np.isin(measured.well, sampled[parts == k]), county))
    season = _last_season(measured)
    if season.any() and not season.all():
        tell("last season held out")
        forecasts.append(_forecast("season", season, county))
    table = pd.concat(forecasts, ignore_index=True)
    return Validation(_accuracy(table), _calibration(table), table)


@dataclass(frozen=True)
class _Known:
    """A county as a validation sees it."""

    pairs: pd.DataFrame
    wells: pd.DataFrame
    water_levels: pd.DataFrame | None
    energy: MonthlyEnergy | None
    options: FitOptions
    measured: Measurements
    strata: NDArray[np.object_]


def _last_season(measured: Measurements) -> NDArray[np.bool_]:
    month = month_of(measured.middle)
    known = month[~np.isnat(month)]
    if not known.size:
        return np.zeros(month.size, dtype=bool)
    return np.asarray(month > known.max() - _SEASON_MONTHS)


def _forecast(held_out: str, hidden: NDArray[np.bool_], county: _Known) -> pd.DataFrame:
    kept = np.isin(county.pairs.index.to_numpy(), county.measured.row[~hidden])
    coefficient = fit_coefficient(
        county.pairs.loc[kept], county.wells, county.water_levels, energy=county.energy, options=county.options
    )
    target, training = county.measured.take(np.flatnonzero(hidden)), county.measured.take(np.flatnonzero(~hidden))
    arguments = (county.wells, county.water_levels, county.energy)
    model = forecast_pairs(coefficient, target, *arguments)
    known = forecast_pairs(coefficient, training, *arguments)
    observed = _kappa(target)
    seen = _kappa(training)
    frame = pd.DataFrame(
        {
            "held_out": held_out,
            "well_id": county.wells["well_id"].to_numpy(dtype=object)[model.well],
            "stratum": county.strata[model.well],
            "observed": observed.reindex(model.well).to_numpy(),
            "model": model.mean,
            "log_variance": model.log_variance,
            "class_mean": _by_class(seen, seen * 0.0 + 1.0, county.strata, model.well),
            "ratio": _by_class(seen, _energy(training), county.strata, model.well),
            "regression": _regression(np.log(seen.reindex(known.well).to_numpy()), known.features, model.features),
            "mixed_model": _mixed_model(training, known.features, county.strata, model.well, model.features),
        }
    )
    for level in LEVELS:
        z = float(special.ndtri(0.5 * (1.0 + level)))
        frame[f"lower_{level:g}"], frame[f"upper_{level:g}"] = lognormal_interval(model.mean, model.log_variance, z)
    return frame


def _kappa(measured: Measurements) -> pd.Series:
    """κ of each well over its pairs: ΣV/ΣE, indexed by place in the registry."""
    return pd.Series(measured.volume_m3).groupby(measured.well).sum() / _energy(measured)


def _energy(measured: Measurements) -> pd.Series:
    return pd.Series(measured.energy_kwh).groupby(measured.well).sum()


def _by_class(seen: pd.Series, weight: pd.Series, strata: NDArray[np.object_], wanted: NDArray[np.intp]) -> Floats:
    """Weighted mean κ of the class of each wanted well; the mean of all where the class was not seen."""
    label = strata[seen.index.to_numpy()]
    mean = (seen * weight).groupby(label).sum() / weight.groupby(label).sum()
    overall = float((seen * weight).sum() / weight.sum())
    return np.array([mean.get(stratum, overall) for stratum in strata[wanted]], dtype=np.float64)


def _regression(y: Floats, X: Floats, wanted: Floats) -> Floats:
    """Ordinary least squares on ln κ with the model's regressors.

    And half the residual variance to come back (trap 2).
    """
    coefficients, *_ = np.linalg.lstsq(X, y, rcond=None)
    residual = y - X @ coefficients
    freedom = max(y.size - np.linalg.matrix_rank(X), 1)
    return np.asarray(np.exp(wanted @ coefficients + 0.5 * float(residual @ residual) / freedom))


def _mixed_model(
    training: Measurements, X: Floats, strata: NDArray[np.object_], wanted: NDArray[np.intp], X_wanted: Floats
) -> Floats:
    """Forecast with random intercepts of class and well, by restricted maximum likelihood: a statistician's choice.

    NaN where the pairs are too few for it.
    """
    places, well = np.unique(training.well, return_inverse=True)
    levels, stratum = np.unique(strata[places].astype(str), return_inverse=True)
    columns = _independent(X[well])
    try:
        fit = fit_nested(np.log(training.coefficient), X[well][:, columns], well, stratum)
    except ValueError:
        return np.full(wanted.size, np.nan)
    effect = pd.Series(fit.stratum_effect, index=levels).reindex(strata[wanted].astype(str)).fillna(0.0).to_numpy()
    return np.asarray(np.exp(X_wanted[:, columns] @ fit.beta + effect + 0.5 * fit.sd_well**2))


def _independent(X: Floats) -> NDArray[np.intp]:
    """Columns that are not combinations of others."""
    _, R, order = linalg.qr(X, mode="economic", pivoting=True)
    size = np.abs(np.diag(R))
    return np.asarray(np.sort(order[: size.size][size > _DEPENDENT * size[0]]), dtype=np.intp)


def _accuracy(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for held_out, part in table.groupby("held_out", sort=False):
        for method in METHODS:
            forecast = part[method].to_numpy()
            observed = part["observed"].to_numpy()
            relative = forecast / observed - 1.0
            crps = (
                crps_lognormal(observed, forecast, part["log_variance"].to_numpy()).mean()
                if method == "model"
                else np.nan
            )
            rows.append(
                {
                    "held_out": held_out,
                    "method": method,
                    "n_wells": len(part),
                    "total_error": (forecast - observed).sum() / observed.sum(),
                    "mean_error": relative.mean(),
                    "mean_absolute_error": np.abs(relative).mean(),
                    "weighted_absolute_error": np.abs(forecast - observed).sum() / observed.sum(),
                    "rmse_log": np.sqrt((np.log(forecast / observed) ** 2).mean()),
                    "crps_m3_per_kwh": crps if method == "model" else np.abs(forecast - observed).mean(),
                }
            )
    return pd.DataFrame(rows)


def _calibration(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for held_out, part in table.groupby("held_out", sort=False):
        for level in LEVELS:
            lower, upper = part[f"lower_{level:g}"], part[f"upper_{level:g}"]
            inside = (lower <= part["observed"]) & (part["observed"] <= upper)
            rows.append(
                {
                    "held_out": held_out,
                    "level": level,
                    "coverage": inside.mean(),
                    "n_wells": len(part),
                    "mean_width": ((upper - lower) / part["model"]).mean(),
                }
            )
    return pd.DataFrame(rows)
