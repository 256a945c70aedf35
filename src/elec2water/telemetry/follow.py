"""Following the coefficients of telemetered wells: the path of every class and the level of every well, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from elec2water.calendar_ import month_of
from elec2water.errors import UsageError
from elec2water.pairs import measurements
from elec2water.recursion import ClassPaths, WellInformation, filter_levels, integrate_wells, solve_paths
from elec2water.strata import classify
from elec2water.telemetry.monthly import (
    MonthlyCoefficients,
    by_month,
    coefficients_of,
    monthly_coefficients,
)
from elec2water.telemetry.oddities import READING_LIMIT, find_oddities
from elec2water.telemetry.variances import LevelVariances, learn_variances

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Months = NDArray[np.datetime64]


@dataclass(frozen=True)
class FollowedLevels:
    """Where the coefficients of telemetered wells stand after the last month.

    Attributes
    ----------
    well_id : (N,)
    class_names : (G,)
        Classes whose wells share a path.
    months : (T,) datetime64[M]
        Months taken in.
    variances : LevelVariances
    information : WellInformation
        What the wells say of the paths, and each well given the path; all that a new month needs.
    paths : ClassPaths
        Posterior of the paths of ln κ.
    usual_kwh : (N,)
    innovation : (N,)
        How far the last reading of each well lay from its forecast, in standard deviations; NaN without a reading.
    last_read : (N,) datetime64[M]
    changed : (N,) datetime64[M]
        Month from which a well has stood elsewhere (a new pump, a meter exchanged): two readings in a row far from
        their forecast on the same side. NaT for none.
    n_doubtful : int
        Single readings beyond four standard deviations of their forecast, which were made to count little.
    """

    well_id: NDArray[np.object_]
    class_names: NDArray[np.object_]
    months: Months
    variances: LevelVariances
    information: WellInformation
    paths: ClassPaths
    usual_kwh: Floats
    innovation: Floats
    last_read: Months
    changed: Months
    n_doubtful: int

    def __repr__(self) -> str:
        v = self.variances
        return (
            f"FollowedLevels({self.well_id.size:,} wells in {self.class_names.size} classes, {self.months[0]} to "
            f"{self.months[-1]}, sd of ln κ: level {v.level**0.5:.3f}, month {v.movement**0.5:.4f}, "
            f"reading {v.reading**0.5:.3f})"
        )

    def _repr_html_(self) -> str:
        return self.class_table().to_html(index=False)

    def levels(self) -> tuple[Floats, Floats]:
        """Mean and variance of ln κ of every well now, jointly with its class's path.

        Returns
        -------
        tuple of numpy.ndarray, shape (N,)
            Mean and variance of the logarithm of the coefficient in m³/kWh.
        """
        return self.information.levels(self.paths)

    def well_table(self, *, confidence: float = 0.90) -> pd.DataFrame:
        """Coefficient of every well now.

        Parameters
        ----------
        confidence : float
            Of the intervals, between 0 and 1.

        Returns
        -------
        DataFrame
            N rows: ``well_id, class, coefficient_m3_per_kwh`` (mean), ``se, lower, upper, confidence, last_read,
            changed, innovation``.
        """
        mean, variance = self.levels()
        z = float(special.ndtri(0.5 * (1.0 + confidence)))
        kappa = np.exp(mean + 0.5 * variance)
        return pd.DataFrame(
            {
                "well_id": self.well_id,
                "class": self.class_names[self.information.class_codes()],
                "coefficient_m3_per_kwh": kappa,
                "se": kappa * np.sqrt(np.expm1(variance)),
                "lower": np.exp(mean - z * np.sqrt(variance)),
                "upper": np.exp(mean + z * np.sqrt(variance)),
                "confidence": confidence,
                "last_read": self.last_read.astype("datetime64[s]"),
                "changed": self.changed.astype("datetime64[s]"),
                "innovation": self.innovation,
            }
        )

    def class_table(self, *, confidence: float = 0.90) -> pd.DataFrame:
        """Coefficient of the middle well of every class in every month.

        Parameters
        ----------
        confidence : float
            Of the intervals, between 0 and 1.

        Returns
        -------
        DataFrame
            A row a class and month: ``class, month, coefficient_m3_per_kwh, se, lower, upper, confidence, n_wells``.
        """
        z = float(special.ndtri(0.5 * (1.0 + confidence)))
        mean = self.paths.mean
        sd = np.sqrt(np.diagonal(self.paths.covariance, axis1=1, axis2=2))
        G, T = mean.shape
        kappa = np.exp(mean).ravel()
        return pd.DataFrame(
            {
                "class": np.repeat(self.class_names, T),
                "month": np.tile(self.months.astype("datetime64[s]"), G),
                "coefficient_m3_per_kwh": kappa,
                "se": kappa * sd.ravel(),
                "lower": np.exp(mean - z * sd).ravel(),
                "upper": np.exp(mean + z * sd).ravel(),
                "confidence": confidence,
                "n_wells": np.repeat(np.diff(self.information.first), T),
            }
        )

    def plot(self, **options: object) -> Axes:
        """Draw the paths of the classes.

        Parameters
        ----------
        **options
            As for :func:`elec2water.plot_retest.class_paths`.

        Returns
        -------
        matplotlib.axes.Axes
        """
        axes: Axes = import_module("elec2water.plot_retest").class_paths(self.class_table(), **options)
        return axes

    def append(self, pairs: pd.DataFrame) -> FollowedLevels:
        """Take in the pairs of later months; only these rows are read, and what was held is not changed.

        Parameters
        ----------
        pairs : DataFrame
            Monthly pairs of the wells that are followed; others and short tests are passed over.

        Returns
        -------
        FollowedLevels
            This one where no pair is left.

        Raises
        ------
        UsageError
            Pairs of a month that was taken in before: corrections need :func:`follow_levels` again.
        """
        measured = measurements(pairs, self.well_id)
        measured = measured.take(np.flatnonzero(~measured.test & ~np.isnat(measured.middle)))
        if not measured.well.size:
            return self
        month = month_of(measured.middle)
        if month.min() <= self.months[-1]:
            raise UsageError(
                f"pairs: expected months after {self.months[-1]}, found {month.min()}; late and corrected pairs need "
                "follow_levels with all pairs"
            )
        new = np.arange(self.months[-1] + 1, month.max() + 1)
        volume, energy = by_month(measured, measured.well, self.well_id.size, new)
        usual = np.where(self.usual_kwh > 0.0, self.usual_kwh, energy.max(axis=1))
        log_kappa, noise = coefficients_of(volume, energy, usual)
        followed = self
        for t, when in enumerate(new):
            followed = followed._with_month(when, log_kappa[:, t], noise[:, t])
        return followed

    def _with_month(self, month: np.datetime64, log_kappa: Floats, noise: Floats) -> FollowedLevels:
        v = self.variances
        mean, variance = self.levels()
        r = v.reading * noise
        z = (log_kappa - mean) / np.sqrt(variance + v.path_step + v.movement + r)
        read = np.isfinite(log_kappa)
        far = np.abs(np.nan_to_num(z)) > READING_LIMIT
        moved = far & (z * np.nan_to_num(self.innovation) > READING_LIMIT**2)
        doubtful = far & ~moved
        r = np.where(doubtful, r * (np.nan_to_num(z) / READING_LIMIT) ** 4, r)
        information = self.information.append(log_kappa, v.movement + np.where(moved, v.level, 0.0), r)
        return replace(
            self,
            months=np.append(self.months, month),
            information=information,
            paths=solve_paths(information, v.prior()),
            innovation=np.where(read, z, self.innovation),
            last_read=np.where(read, month, self.last_read),
            changed=np.where(moved, month, self.changed),
            n_doubtful=self.n_doubtful + int(doubtful.sum()),
        )


def follow_levels(
    pairs: pd.DataFrame,
    wells: pd.DataFrame,
    *,
    by: Sequence[str] = ("aquifer",),
    breaks: Mapping[str, tuple[float, ...]] | None = None,
    variances: LevelVariances | None = None,
) -> FollowedLevels:
    """Follow the coefficients of wells whose water meters report every month.

    ln κ of a well in a month is the path of its class, plus the well's own level that moves slowly, plus the error of
    the month: ``ln κ_it = c_{g(i),t} + d_it + ε_it``. Every well is integrated out exactly, whatever their number; the
    cost is linear in wells. What comes out: how κ of each class moves from month to month, where each well stands now
    with its error, and which reading does not fit. A month that follows is added by :meth:`FollowedLevels.append`.

    Parameters
    ----------
    pairs : DataFrame
        The table ``pairs``; rows of kind ``meter`` count.
    wells : DataFrame
        Registry.
    by : sequence of str
        Columns of wells that make the classes; numeric ones are cut as in ``[strata]``.
    breaks : mapping, optional
        Where numeric columns are cut.
    variances : LevelVariances, optional
        Learned from the readings if left out.

    Returns
    -------
    FollowedLevels

    Raises
    ------
    UsageError
        No monthly pair of a registered well, or no such column.
    """
    missing = [name for name in by if name not in wells.columns]
    if missing:
        raise UsageError(f"by: expected columns of wells, found {missing}; there are {', '.join(map(str, wells))}")
    monthly = monthly_coefficients(pairs, wells)
    strata = classify(wells, tuple(by), breaks=dict(breaks or {}))
    place = pd.Index(wells["well_id"]).get_indexer(pd.Index(monthly.well_id))
    names, codes = np.unique(strata.labels[place].astype(str), return_inverse=True)
    return follow_panel(
        monthly, np.asarray(codes, dtype=np.intp), class_names=names.astype(object), variances=variances
    )


def follow_panel(
    monthly: MonthlyCoefficients,
    classes: Ints,
    *,
    class_names: NDArray[np.object_],
    variances: LevelVariances | None = None,
) -> FollowedLevels:
    """Follow coefficients that stand as arrays: :func:`follow_levels` without tables, for very many wells.

    Parameters
    ----------
    monthly : MonthlyCoefficients
    classes : (N,)
        Code of each well's class in ``class_names``.
    class_names : (G,)
    variances : LevelVariances, optional
        Learned if left out.
    """
    v = variances or learn_variances(monthly.log_kappa, monthly.noise, classes)
    y, G = monthly.log_kappa, class_names.size
    noise = v.reading * monthly.noise
    information = integrate_wells(y, v.movement, noise, variance=v.level, classes=classes, n_classes=G)
    paths = solve_paths(information, v.prior())
    own = y - paths.mean[classes]
    odd = find_oddities(own, v, noise)
    if odd.moved.any() or odd.doubtful.any():
        information = integrate_wells(y, odd.movement, odd.noise, variance=v.level, classes=classes, n_classes=G)
        paths = solve_paths(information, v.prior())
    column = y.shape[1] - 1 - np.argmax(np.isfinite(y[:, ::-1]), axis=1)
    return FollowedLevels(
        monthly.well_id,
        class_names,
        monthly.months,
        v,
        information,
        paths,
        monthly.usual_kwh,
        _last_innovation(own, v.movement, noise, v.level, column),
        monthly.months[column],
        _last_move(odd.moved, monthly.months),
        int(odd.doubtful.sum()),
    )


def _last_innovation(own: Floats, movement: float, noise: Floats, level: float, column: Ints) -> Floats:
    """Give the last reading of each well (N,) less its forecast, in standard deviations, the path taken as known."""
    before = np.where(np.arange(own.shape[1]) < column[:, None], own, np.nan)
    state = filter_levels(before, movement, noise, variance=level, every_step=False).state
    rows = np.arange(column.size)
    return np.asarray((own[rows, column] - state.mean) / np.sqrt(state.variance + noise[rows, column]))


def _last_move(moved: NDArray[np.bool_], months: Months) -> Months:
    last = months[moved.shape[1] - 1 - np.argmax(moved[:, ::-1], axis=1)]
    return np.where(moved.any(axis=1), last, np.datetime64("NaT", "M"))
