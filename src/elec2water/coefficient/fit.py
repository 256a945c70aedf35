"""Fitting the coefficient: from the tables of a county to the posterior."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import month_of
from elec2water.coefficient import features
from elec2water.coefficient.changes import find_changes
from elec2water.coefficient.classes import class_table
from elec2water.coefficient.equipment import NEVER, Equipment
from elec2water.coefficient.features import FeatureSpec, Static
from elec2water.coefficient.gaussian import Rows
from elec2water.coefficient.innovations import Limits
from elec2water.coefficient.news import UpdateRecord
from elec2water.coefficient.posterior import Posterior, fit_posterior
from elec2water.coefficient.shared import Layout
from elec2water.energy import MonthlyEnergy
from elec2water.errors import UsageError
from elec2water.levels import Levels, depth_by_well
from elec2water.pairs import Measurements, measurements, short_test_rel_u
from elec2water.strata import Strata, classify

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Months = NDArray[np.datetime64]

GRID = "grid"
_SMALL_MONTH = 0.05
UNSEEN = 0.02
"""Standard deviation of what an unobserved water table does to ln κ in a year: 3 % of its depth at a slope of -0.65."""


@dataclass(frozen=True)
class FitOptions:
    """What METHOD.md fixes beforehand; the section ``[model]`` and ``[strata]`` of the configuration."""

    strata_by: tuple[str, ...] = ("aquifer", "pump_power_kw", "pump_depth_m")
    strata_breaks: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    strata_classes: int = 3
    covariates: tuple[str, ...] = ()
    wear_mean_per_year: float = -0.02
    wear_sd_per_year: float = 0.010
    student_df: float = 4.0
    shared_meter_rel_u: float = 0.01
    meter_rel_u: float = 0.02
    alarms_per_100_well_years: float = 1.0


@dataclass(frozen=True)
class WellContext:
    """All wells of a registry as the model sees them over some months.

    ``months`` (M,), ``kwh`` (N, M), ``annual_kwh`` (N,), ``level`` (N, M) ln depth to water less the well's own
    reference, ``anomaly`` (N, M) of energy, ``static`` features and the frame's ``well_id`` (N,).
    """

    well_id: NDArray[np.object_]
    strata: Strata
    static: Static
    months: Months
    kwh: Floats
    annual_kwh: Floats
    level: Floats
    anomaly: Floats
    pump_installed: NDArray[np.datetime64]


@dataclass(frozen=True)
class Windows:
    """The months against which a well's energy and water level are measured.

    The year before ``energy_end``, and ``level``.
    """

    energy_end: np.datetime64
    level: Months


@dataclass(frozen=True)
class Outlook:
    """When a coefficient stands and where the water stood then.

    ``year`` is the decimal year, NaN for the end of the months of the fit; ``level`` (W,) the ln depth to water of
    the sample wells over the year before, less their own reference; empty where it is the reference.
    """

    year: float = float("nan")
    level: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Coefficient:
    """What a kWh is worth: the posterior of ln κ for every well, sampled or not.

    Holds arrays only: the posterior, how wells become features, and the options of the fit.
    """

    posterior: Posterior
    spec: FeatureSpec
    options: FitOptions
    windows: Windows
    sample_id: NDArray[np.object_]
    measured: Measurements
    equipment: Equipment = field(default_factory=Equipment.none)
    outlook: Outlook = field(default_factory=Outlook)
    record: UpdateRecord = field(default_factory=UpdateRecord)

    @property
    def news(self) -> pd.DataFrame:
        """What the last update moved in every class, adding up exactly; empty after a fit."""
        return self.record.news

    @property
    def changes(self) -> pd.DataFrame:
        """Wells whose readings broke with their past."""
        return self.record.changes

    def placed(self, well_id: NDArray[np.object_]) -> Coefficient:
        """Find the sample wells in a registry (N,) that lists them in another order, or no longer lists some of them.

        Raises
        ------
        UsageError
            No sample well is in the registry.
        """
        place = np.asarray(pd.Index(well_id, dtype=object).get_indexer(pd.Index(self.sample_id)), dtype=np.intp)
        if np.array_equal(place, self.posterior.sample):
            return self
        kept = np.flatnonzero(place >= 0)
        if not kept.size:
            first = ", ".join(self.sample_id[:5])
            raise UsageError(f"wells: expected the sample wells of the coefficient ({first} …), found none of them")
        well = place[np.searchsorted(np.unique(self.measured.well), self.measured.well)]
        measured = replace(self.measured, well=well).take(well >= 0)
        sample_id = self.sample_id[kept]
        return replace(
            self,
            posterior=self.posterior.take_wells(kept, place[kept]),
            sample_id=sample_id,
            measured=measured,
            equipment=self.equipment.of_wells(sample_id),
            outlook=replace(self.outlook, level=self.outlook.level[kept] if self.outlook.level.size else np.zeros(0)),
        )

    def equipped(self, context: WellContext) -> Coefficient:
        """See the pumps that the registry has put in since: what a well's pairs told of the pump before, they keep."""
        place = self.posterior.sample
        equipment = self.equipment.adding(Equipment.of(self.sample_id, context.pump_installed[place]))
        if equipment is self.equipment:
            return self
        rows = self.posterior.rows
        when = pair_moments(self.measured, self.posterior.layout)
        rows = replace(rows, pump=equipment.history(self.sample_id).number(rows.well, when))
        return replace(self, posterior=replace(self.posterior, rows=rows), equipment=equipment)

    def __repr__(self) -> str:
        sd = {name: round(value**0.5, 3) for name, value in self.posterior.variance.items()}
        return (
            f"Coefficient({self.sample_id.size} sample wells, {self.posterior.rows.y.size} pairs, "
            f"{self.posterior.layout.size} shared effects, sd of ln κ {sd})"
        )

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Mean coefficient of every class with sample wells.

        As :func:`elec2water.coefficient.classes.class_table` says.
        """
        year = self.outlook.year
        return class_table(
            self.posterior,
            shared_meter_rel_u=self.options.shared_meter_rel_u,
            years=0.0 if np.isnan(year) else year - self.spec.reference_year,
            level=self.outlook.level if self.outlook.level.size else None,
        )

    def update(
        self,
        pairs: pd.DataFrame | None = None,
        wells: pd.DataFrame | None = None,
        water_levels: pd.DataFrame | None = None,
        *,
        energy: MonthlyEnergy | None = None,
        until: np.datetime64 | None = None,
        whole: bool = False,
        with_news: bool = True,
        progress: Callable[[str], None] | None = None,
    ) -> Coefficient:
        """Give the coefficient after new and corrected pairs, levels and pumps, as a new object; variances stay.

        As :func:`elec2water.coefficient.update.update_coefficient` says.
        """
        function = import_module("elec2water.coefficient.update").update_coefficient
        options = {"energy": energy, "until": until, "whole": whole, "with_news": with_news, "progress": progress}
        updated: Coefficient = function(self, pairs, wells, water_levels, **options)
        return updated

    def _repr_html_(self) -> str:
        return self.summary.to_html(index=False)

    def plot(self, **options: object) -> Axes:
        """Draw ``summary``; options as for :func:`elec2water.plot.coefficients`."""
        axes: Axes = import_module("elec2water.plot").coefficients(self.summary, **options)
        return axes


def fit_coefficient(
    pairs: pd.DataFrame,
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None = None,
    *,
    energy: MonthlyEnergy | None = None,
    until: np.datetime64 | None = None,
    options: FitOptions | None = None,
    pumps: Equipment | None = None,
    progress: Callable[[str], None] | None = None,
) -> Coefficient:
    """Fit the conversion coefficient of every well of a registry.

    Parameters
    ----------
    pairs, wells, water_levels : DataFrame
        Tables of the contract, as :func:`elec2water.tables.read_tables` returns them.
    energy : MonthlyEnergy, optional
        Electricity of all wells; carries the information of poor pumps. Left out, the model does without.
    until : datetime64[M], optional
        Last month for which coefficients are wanted; the last month of pairs by default.
    options : FitOptions, optional
    pumps : Equipment, optional
        Changes of pumps that the registry does not tell, of an earlier coefficient.
    progress : callable, optional
        Told in words what is being done.

    Raises
    ------
    UsageError
        No usable pair of a well of the registry.
    """
    options = options or FitOptions()
    well_id = wells["well_id"].to_numpy(dtype=object)
    measured = measurements(pairs, well_id)
    measured = measured.take(np.flatnonzero(on_grid(wells)[measured.well]))
    if measured.well.size == 0:
        raise UsageError(
            f"pairs: expected at least one usable pair of a registered well, found none in {len(pairs)} rows; "
            "check well_id, energy_kwh and volume_m3"
        )
    first, last = _span(measured, energy)
    windows = Windows(_energy_end(energy, last), np.arange(first, last + 1))
    last = last if until is None else max(last, np.datetime64(str(until), "M"))
    months = np.arange(first, last + 1)
    spec, context = _learn(wells, water_levels, energy, months, windows, options)
    layout = spec.layout(months)
    sample_id = well_id[np.unique(measured.well)]
    equipment = Equipment.of(sample_id, context.pump_installed[np.unique(measured.well)])
    equipment = equipment if pumps is None else equipment.adding(pumps.of_wells(sample_id))
    sample, rows = measured_rows(measured, context, spec, layout, equipment)
    posterior = fit_posterior(rows, layout, sample, student_df=options.student_df, progress=progress)
    changes = find_changes(posterior, Limits.of(options.alarms_per_100_well_years))
    record = UpdateRecord(changes=changes.table(sample_id, pair_moments(measured, layout)))
    return Coefficient(posterior, spec, options, windows, sample_id, measured, equipment, record=record)


def on_grid(wells: pd.DataFrame) -> NDArray[np.bool_]:
    """Give which wells the grid drives, (N,); a blank or absent power source is the grid."""
    if "power_source" not in wells.columns:
        return np.ones(len(wells), dtype=bool)
    return np.asarray(wells["power_source"].fillna(GRID).eq(GRID).to_numpy(dtype=bool))


def describe_wells(
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None,
    energy: MonthlyEnergy | None,
    months: Months,
    windows: Windows,
    spec: FeatureSpec,
    options: FitOptions,
) -> WellContext:
    """See the wells of a registry over ``months`` with the features learned in a fit."""
    windows = within_reach(windows, energy)
    # The limits of the fit, not those that another registry would suggest: a class keeps its name and its effect.
    options = replace(options, strata_breaks=dict(spec.strata_breaks) or options.strata_breaks)
    columns, moving = _columns(wells, water_levels, energy, months, windows, options, spec.reference_year)
    return _context(wells, columns, moving, months, spec)


def within_reach(windows: Windows, energy: MonthlyEnergy | None) -> Windows:
    """Take the first whole year of electricity where readings no longer go back to the year of the fit."""
    if energy is None or energy.months.size == 0 or energy.months[0] <= windows.energy_end - 11:
        return windows
    return replace(windows, energy_end=min(energy.months[0] + 11, energy.months[-1]))


def measured_rows(
    measured: Measurements, context: WellContext, spec: FeatureSpec, layout: Layout, equipment: Equipment
) -> tuple[Ints, Rows]:
    """Pairs as rows of the regression: the place in the registry of each sample well (W,), and the rows."""
    sample, position = np.unique(measured.well, return_inverse=True)
    position = np.asarray(position, dtype=np.intp)
    middle = pair_moments(measured, layout)
    month = month_of(middle)
    column = np.clip(np.searchsorted(context.months, month), 0, context.months.size - 1)
    aquifer = context.static.aquifer[measured.well]
    pumps = equipment.history(context.well_id[sample])
    moving = spec.moving(
        aquifer,
        features.decimal_year(middle),
        level=context.level[measured.well, column],
        anomaly=np.where(measured.test, 0.0, context.anomaly[measured.well, column]),
        short_test=measured.test,
        worn_since=spec.worn_since(pumps.since(position, middle)),
    )
    cell_month = np.clip(np.searchsorted(layout.months, month), 0, layout.months.size - 1)
    installed = context.pump_installed[measured.well]
    rows = Rows(
        well=position,
        y=np.log(measured.coefficient),
        time=features.decimal_year(middle),
        pump=pumps.number(position, middle),
        cell=np.asarray(aquifer * layout.months.size + cell_month, dtype=np.intp),
        static=_static_when_measured(shared_static(context.static, layout, sample), position, middle, installed, spec),
        moving=moving,
        scale=_scale(measured, context),
        extra=short_test_rel_u(measured) ** 2,
        level_scale=np.ones(sample.size),
        n_cells=layout.n_cells,
    )
    return np.asarray(sample, dtype=np.intp), rows


def known_pumps(coefficient: Coefficient, context: WellContext) -> Equipment:
    """Give the changes of pumps of all wells of a registry, with those that only the coefficient knows."""
    return coefficient.equipment.adding(Equipment.of(context.well_id, context.pump_installed))


def pumps_in(
    coefficient: Coefficient, context: WellContext, when: np.datetime64
) -> tuple[NDArray[np.datetime64], Ints]:
    """Since when each well of a registry (N,) has had its pump (NaT: not known), and the sample wells' number (W,)."""
    since = np.where(context.pump_installed <= when, context.pump_installed, np.datetime64("NaT", "s"))
    pumps, every = coefficient.equipment.history(coefficient.sample_id), np.arange(coefficient.sample_id.size)
    moments = np.full(every.size, when)
    since[coefficient.posterior.sample] = pumps.since(every, moments)
    return since, pumps.number(every, moments)


def pair_moments(measured: Measurements, layout: Layout) -> NDArray[np.datetime64]:
    """Middle of each pair, (R,); the last month of the fit where a test has no date."""
    return np.where(np.isnat(measured.middle), layout.months[-1].astype("datetime64[s]"), measured.middle)


def _static_when_measured(
    static: Floats, well: Ints, middle: NDArray[np.datetime64], installed: NDArray[np.datetime64], spec: FeatureSpec
) -> Floats:
    """Blank the age of pumps that were put in after a well was measured: its pairs tell of the pump before."""
    names = [feature.name for feature in spec.numeric]
    before = np.zeros(static.shape[0], dtype=bool)
    before[well[(middle < installed) & (installed < NEVER)]] = True
    if "pump_age" in names and before.any():
        static = static.copy()
        static[before, 1 + names.index("pump_age")] = 0.0
    return static


def shared_static(static: Static, layout: Layout, wells: NDArray[np.intp]) -> Floats:
    """Give static features of some wells with the factors written out as columns of zeros and ones, (n, p_F)."""
    blocks = [static.dense[wells]]
    for k, factor in enumerate(layout.factors):
        one_hot = np.zeros((wells.size, len(factor.levels)))
        code = static.codes[wells, k]
        known = np.flatnonzero(code >= 0)
        one_hot[known, code[known]] = 1.0
        blocks.append(one_hot)
    return np.hstack(blocks)


def _span(measured: Measurements, energy: MonthlyEnergy | None) -> tuple[np.datetime64, np.datetime64]:
    month = month_of(measured.middle)
    known = month[~np.isnat(month)]
    if known.size:
        return known.min(), known.max()
    if energy is None:
        return np.datetime64("1970-01", "M"), np.datetime64("1970-01", "M")
    return energy.months[-1], energy.months[-1]


def _energy_end(energy: MonthlyEnergy | None, last: np.datetime64) -> np.datetime64:
    return last if energy is None else energy.months[-1]


def _learn(
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None,
    energy: MonthlyEnergy | None,
    months: Months,
    windows: Windows,
    options: FitOptions,
) -> tuple[FeatureSpec, WellContext]:
    reference_year = float(features.decimal_year(np.array([windows.level[-1] + 1], dtype="datetime64[s]"))[0])
    columns, moving = _columns(wells, water_levels, energy, months, windows, options, reference_year)
    weight = np.asarray(columns["annual_kwh"], dtype=np.float64)
    spec = features.learn_features(
        columns,
        weight=weight,
        reference_year=reference_year,
        wear=(options.wear_mean_per_year, _wear_sd(options, moving.level)),
        covariates=options.covariates,
    )
    spec = replace(spec, strata_breaks=tuple((name, tuple(limits)) for name, limits in moving.strata.breaks.items()))
    return spec, _context(wells, columns, moving, months, spec)


def _wear_sd(options: FitOptions, level: Floats) -> float:
    """Where no water level is known, what wear does in a year and what a falling or rising table does are one."""
    return options.wear_sd_per_year if np.isfinite(level).any() else float(np.hypot(options.wear_sd_per_year, UNSEEN))


@dataclass(frozen=True)
class _MovingParts:
    strata: Strata
    kwh: Floats
    level: Floats


def _columns(
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None,
    energy: MonthlyEnergy | None,
    months: Months,
    windows: Windows,
    options: FitOptions,
    reference_year: float,
) -> tuple[dict[str, NDArray[np.generic]], _MovingParts]:
    n = len(wells)
    strata = classify(wells, options.strata_by, breaks=dict(options.strata_breaks), classes=options.strata_classes)
    annual, kwh = np.full(n, np.nan), np.full((n, months.size), np.nan)
    if energy is not None:
        annual = energy.annual_kwh(windows.energy_end)
        place = np.searchsorted(energy.months, months)
        inside = (place < energy.months.size) & (months >= energy.months[0])
        kwh[:, inside] = energy.kwh[:, place[inside]]
    level, reference = _levels(wells, water_levels, months, windows)
    columns = features.well_columns(
        wells,
        strata.labels,
        annual_kwh=annual,
        depth_to_water=reference,
        reference_year=reference_year,
        covariates=options.covariates,
    )
    return columns, _MovingParts(strata, kwh, level)


def _levels(
    wells: pd.DataFrame, water_levels: pd.DataFrame | None, months: Months, windows: Windows
) -> tuple[Floats, Floats]:
    n = len(wells)
    if water_levels is None or water_levels.empty:
        return np.full((n, months.size), np.nan), np.full(n, np.nan)
    wanted = np.union1d(months, windows.level)
    levels: Levels = depth_by_well(wells, water_levels, wanted)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_depth = np.log(levels.depth_m)
    log_depth[~np.isfinite(log_depth)] = np.nan
    window = log_depth[:, np.isin(wanted, windows.level)]
    known = np.isfinite(window)
    count = known.sum(axis=1)
    reference = np.where(count > 0, np.where(known, window, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
    anomaly = log_depth[:, np.isin(wanted, months)] - reference[:, None]
    return _share_movement(anomaly, wells), np.exp(reference)


def _share_movement(anomaly: Floats, wells: pd.DataFrame) -> Floats:
    """Give wells without a level of their own the mean movement of their township and aquifer.

    Else township, else all.
    """
    keys = [c for c in ("township", "aquifer") if c in wells.columns]
    filled = anomaly.copy()
    for k in range(len(keys), -1, -1):
        blank = ~np.isfinite(filled)
        if not blank.any():
            break
        group = wells.groupby(keys[:k], dropna=False, sort=True).ngroup().to_numpy() if k else np.zeros(len(wells), int)
        known = np.isfinite(anomaly)
        size = int(group.max()) + 1
        for m in range(anomaly.shape[1]):
            total = np.bincount(group, weights=np.where(known[:, m], anomaly[:, m], 0.0), minlength=size)
            count = np.bincount(group, weights=known[:, m], minlength=size)
            with np.errstate(invalid="ignore"):
                mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
            filled[:, m] = np.where(blank[:, m], mean[group], filled[:, m])
    return filled


def _context(
    wells: pd.DataFrame,
    columns: Mapping[str, NDArray[np.generic]],
    moving: _MovingParts,
    months: Months,
    spec: FeatureSpec,
) -> WellContext:
    static = spec.static(columns)
    annual = np.asarray(columns["annual_kwh"], dtype=np.float64)
    installed = np.full(len(wells), NEVER)
    if "pump_installed_on" in wells.columns:
        given = wells["pump_installed_on"].to_numpy(dtype="datetime64[s]")
        installed = np.where(np.isnat(given), NEVER, given)
    return WellContext(
        wells["well_id"].to_numpy(dtype=object),
        moving.strata,
        static,
        months,
        moving.kwh,
        annual,
        moving.level,
        features.energy_anomaly(moving.kwh, annual, static.aquifer),
        installed,
    )


def _scale(measured: Measurements, context: WellContext) -> Floats:
    """Error variance of a pair against that of an ordinary month: a month with hardly any energy says little."""
    annual = context.annual_kwh[measured.well]
    small = _SMALL_MONTH * np.where(np.isfinite(annual), annual, 0.0) / 12.0
    return np.where(measured.test, 1.0, 1.0 + (small / measured.energy_kwh) ** 2)
