"""The wells of a registry as the model sees them: classes, features, electricity and water over some months."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import decimal_year
from elec2water.coefficient import features
from elec2water.coefficient.anomaly import energy_anomaly
from elec2water.coefficient.columns import Columns, well_columns
from elec2water.coefficient.delivery import HEAD_BEYOND_M, DeliveryHeads, delivery_head, head_beyond, published_heads
from elec2water.coefficient.equipment import METER_CHECKED, NEVER, Equipment
from elec2water.coefficient.features import FeatureSpec, Static
from elec2water.coefficient.options import FitOptions
from elec2water.coefficient.split_energy import own_energy_factor
from elec2water.coefficient.unseen import PUMPED, Foretold, foretell, last_observed, pumping_anomaly
from elec2water.coefficient.water import YEAR, first_level, lasting_movement, level_movement
from elec2water.coefficient.works import Works
from elec2water.energy import MonthlyEnergy
from elec2water.energy.resting import LEAST_MONTHS, LONGEST, pumping_share, resting_load
from elec2water.errors import UsageError
from elec2water.levels import observed_wells
from elec2water.pairs import Measurements
from elec2water.strata import Strata, classify

Floats = NDArray[np.float64]
Months = NDArray[np.datetime64]

GRID = "grid"
_IMPUTED = "S"
UNSEEN = 0.02
"""Standard deviation of what an unobserved water table does to ln κ in a year: 3 % of its depth at a slope of -0.65."""
_WELLS_THAT_TELL = 2000
_KNOWN_OF_MOST = 0.5
"""Depths of fewer wells would take the place of the setting depths of all."""


@dataclass(frozen=True)
class WellContext:
    """All wells of a registry as the model sees them over some months.

    ``months`` (M,), ``kwh`` (N, M), ``annual_kwh`` (N,), ``level`` (N, M) ln head less the well's own reference, by its
    water and its ``works``, ``anomaly`` (N, M) of energy, ``static`` features and the frame's ``well_id`` (N,).
    ``unseen`` (A, M) is the standard deviation of ``level`` by aquifer in months after the last observation, where it
    is foretold, and ``lasting`` (A, M) the mean of ``level`` over the year that ends with each month. ``pumping``
    (N, M) is the share of the electricity that pumps.
    """

    well_id: NDArray[np.object_]
    strata: Strata
    static: Static
    months: Months
    kwh: Floats
    annual_kwh: Floats
    level: Floats
    unseen: Floats
    lasting: Floats
    anomaly: Floats
    pumping: Floats
    pump_installed: NDArray[np.datetime64]
    meter_checked: NDArray[np.datetime64]
    works: Works

    def water(self, places: NDArray[np.intp]) -> Floats:
        """Give the movement of ln head of some wells by their water alone, (K, M); NaN where unknown."""
        return np.asarray(self.level[places] - self.works.take(places).movement(self.months))

    def registered(self, places: NDArray[np.intp]) -> Equipment:
        """Give what the registry tells of the pumps, works and water meters of some wells, by their places."""
        well_id = self.well_id[places]
        pumps = Equipment.of(well_id, self.pump_installed[places]).adding(self.works.take(places).equipment(well_id))
        return pumps.adding(Equipment.of(well_id, self.meter_checked[places], cause=METER_CHECKED))


@dataclass(frozen=True)
class Windows:
    """The months against which a well's energy and water level are measured.

    The year before ``energy_end``, and ``level``.
    """

    energy_end: np.datetime64
    level: Months


def on_grid(wells: pd.DataFrame) -> NDArray[np.bool_]:
    """Give which wells the grid drives, (N,); a blank or absent power source is the grid."""
    if "power_source" not in wells.columns:
        return np.ones(len(wells), dtype=bool)
    return np.asarray(wells["power_source"].fillna(GRID).eq(GRID).to_numpy(dtype=bool))


def registered_ids(wells: pd.DataFrame) -> NDArray[np.object_]:
    """Give the identifiers of a registry, (N,).

    Raises
    ------
    UsageError
        There is no column ``well_id``, or a blank one or one that is there twice.
    """
    if "well_id" not in wells.columns:
        raise UsageError(
            f"wells: expected the column well_id, found {list(wells.columns)[:8]}; read it with read_tables"
        )
    ids = wells["well_id"]
    wrong = ids.isna() | ids.duplicated()
    if wrong.any():
        first = ", ".join(str(name) for name in ids[wrong].iloc[:3])
        raise UsageError(
            f"wells: expected every well once and named, found {int(wrong.sum())} blank or repeated well_id ({first}); "
            "take them out"
        )
    return ids.to_numpy(dtype=object)


def in_order_of(wells: pd.DataFrame, energy: MonthlyEnergy) -> MonthlyEnergy:
    """Give the electricity of the wells of a registry in their order.

    Raises
    ------
    UsageError
        As for :func:`registered_ids` and :meth:`~elec2water.energy.MonthlyEnergy.of_wells`.
    """
    # They nearly always are; to look for what is there twice takes four times as long.
    alike = "well_id" in wells.columns and len(wells) == len(energy.well_id)
    if alike and bool(np.all(wells["well_id"].to_numpy(dtype=object) == energy.well_id)):
        return energy
    return energy.of_wells(registered_ids(wells))


@dataclass(frozen=True)
class Known:
    """What is known of N wells: the registry; water levels, electricity and pairs where there are any."""

    wells: pd.DataFrame
    water_levels: pd.DataFrame | None
    energy: MonthlyEnergy | None
    measured: Measurements | None = None

    @cached_property
    def own_energy(self) -> Floats:
        """(N,) By what the electricity of a well is to be multiplied to be its own as its pairs read it."""
        if self.energy is None or self.measured is None:
            return np.ones(len(self.wells))
        return own_energy_factor(self.energy, self.measured)

    @property
    def well_id(self) -> NDArray[np.object_]:
        """Identifiers (N,) of the wells; electricity has them as an array already, in the order of the registry."""
        return self.wells["well_id"].to_numpy(dtype=object) if self.energy is None else self.energy.well_id


def describe_wells(
    known: Known, months: Months, windows: Windows, spec: FeatureSpec, options: FitOptions, first: Months
) -> WellContext:
    """See the wells of a registry over ``months`` with the features of a fit; ``first`` as for `annual_energy`."""
    annual = annual_energy(known, windows.energy_end, months[-1], first, spec)
    # The limits of the fit, not those that another registry would suggest: a class keeps its name and its effect.
    options = replace(options, strata_breaks=dict(spec.strata_breaks) or options.strata_breaks)
    heads = (spec.head_beyond_m, spec.delivery)
    columns, moving = _columns(known, months, windows.level, options, spec.reference_year, heads, annual)
    return _context(known, columns, moving, months, windows, (spec, options))


def annual_energy(known: Known, fitted: np.datetime64, last: np.datetime64, first: Months, spec: FeatureSpec) -> Floats:
    """Energy of a year by which each well is known, at the level of the county in the year of the fit, (N,) [kWh].

    Wells without pairs are known by the latest year: one whose electricity has grown since the fit is oftener one whose
    pump has got worse, and to choose tests by today's electricity would otherwise be to choose wells that the model
    takes to be better than they are (METHOD.md, trap 3). A well with pairs keeps the year of its first, in which its
    own level was told. What the whole county uses more in one year than in another is taken off: it is the weather.

    Parameters
    ----------
    known : Known
    fitted : datetime64[M]
        Last month of the year of electricity of the fit.
    last : datetime64[M]
        Last month that is looked at.
    first : (N,) datetime64[M]
        Month of the first pair of each well; NaT where it has none.
    spec : FeatureSpec
    """
    energy = known.energy
    if energy is None or energy.months.size == 0:
        return np.full(first.size, np.nan)
    latest = max(fitted, min(energy.months[-1], last))
    ends = np.where(np.isnat(first), latest, np.clip(first, fitted, latest))
    # Readings that no longer go back to the year of the fit: their first whole year.
    ends = np.maximum(ends, min(energy.months[0] + 11, energy.months[-1]))
    annual = np.full(first.size, np.nan)
    for end in np.unique(ends):
        of_year = known.own_energy * energy.annual_kwh(end)
        level = 1.0 if end == fitted else spec.energy_level(of_year)
        annual = np.where(ends == end, of_year / level, annual)
    return annual


def learn_wells(known: Known, months: Months, windows: Windows, options: FitOptions) -> tuple[FeatureSpec, WellContext]:
    """Learn from a registry how its wells become features, and see them with these over ``months``."""
    reference_year = float(decimal_year(np.array([windows.level[-1] + 1], dtype="datetime64[s]"))[0])
    energy = known.energy
    annual = np.full(len(known.wells), np.nan)
    if energy is not None:
        annual = known.own_energy * energy.annual_kwh(windows.energy_end)
    delivery = published_heads()
    heads = (HEAD_BEYOND_M, delivery)
    columns, moving = _columns(known, months, windows.level, options, reference_year, heads, annual)
    weight = np.asarray(columns["annual_kwh"], dtype=np.float64)
    spec = features.learn_features(
        columns,
        weight=weight,
        reference_year=reference_year,
        wear=(options.wear_mean_per_year, _wear_sd(options, moving.level)),
        covariates=options.covariates,
        delivery=delivery,
    )
    spec = replace(spec, strata_breaks=tuple((name, tuple(limits)) for name, limits in moving.strata.breaks.items()))
    return spec, _context(known, columns, moving, months, windows, (spec, options))


def _wear_sd(options: FitOptions, level: Floats) -> float:
    """Where no water level is known, what wear does in a year and what a falling or rising table does are one."""
    return options.wear_sd_per_year if np.isfinite(level).any() else float(np.hypot(options.wear_sd_per_year, UNSEEN))


@dataclass(frozen=True)
class _Moving:
    """Classes (N,), electricity and movement of the water (N, M) of the wells of a registry."""

    strata: Strata
    kwh: Floats
    level: Floats


def _columns(
    known: Known,
    months: Months,
    level_window: Months,
    options: FitOptions,
    reference_year: float,
    heads: tuple[float, DeliveryHeads],
    annual: Floats,
) -> tuple[Columns, _Moving]:
    """Gather columns of wells and what moves.

    ``reference_year`` is the one from which wear counts, ``heads`` what a pump lifts beyond the depth to water [m] and
    what each method delivers at.
    """
    wells, energy = known.wells, known.energy
    beyond_m, delivery = heads
    n = len(wells)
    strata = classify(wells, options.strata_by, breaks=dict(options.strata_breaks), classes=options.strata_classes)
    if energy is None:
        kwh = np.full((n, months.size), np.nan)
    else:
        span = energy.kwh_between(months[0], months[-1])
        place = (months - months[0]).astype(np.intp)
        kwh = span if span.shape[1] == months.size else span[:, place]
    delivered = delivery_head(wells, delivery)
    beyond = head_beyond(beyond_m, delivered)
    level, reference = level_movement(wells, known.water_levels, months, level_window, beyond)
    columns = well_columns(
        wells,
        strata.keys,
        annual_kwh=annual,
        depth_to_water=_usual_depth(wells, reference),
        reference_year=reference_year,
        covariates=options.covariates,
        delivery=delivered,
    )
    # Of the pump before one that was put in after these months the age is not known.
    installed = _dates(wells, "pump_installed_on")
    later = (installed >= (months[-1] + 1).astype("datetime64[s]")) & (installed < NEVER)
    age = np.asarray(columns["pump_age_decades"], dtype=np.float64)
    columns["pump_age_decades"] = np.where(later, np.nan, age)
    return columns, _Moving(strata, kwh, level)


def _usual_depth(wells: pd.DataFrame, observed: Floats) -> Floats:
    """Give the usual depth to water (N,) [m]: as observed, else as most of the registry tells it; NaN where unknown."""
    if "water_depth_m" not in wells.columns:
        return observed
    told = wells["water_depth_m"].to_numpy(dtype=np.float64, na_value=np.nan)
    told = np.where(told > 0.0, told, np.nan)
    depth = np.where(np.isfinite(observed), observed, told)
    return depth if np.isfinite(depth).mean() >= _KNOWN_OF_MOST else observed


def _context(
    known: Known,
    columns: Columns,
    moving: _Moving,
    months: Months,
    windows: Windows,
    seen_by: tuple[FeatureSpec, FitOptions],
) -> WellContext:
    spec, options = seen_by
    wells, static = known.wells, spec.static(columns)
    annual = np.asarray(columns["annual_kwh"], dtype=np.float64) / known.own_energy
    foretold, lasting = _water(known, moving.level, months, windows.level, spec, static.aquifer)
    delivery = np.asarray(columns["delivery"], dtype=np.float64)
    works = Works.of(_dates(wells, "irrigation_method_since"), delivery)
    return WellContext(
        known.well_id,
        moving.strata,
        static,
        months,
        moving.kwh,
        annual,
        works.added_to(foretold.level, months),
        foretold.sd,
        lasting,
        energy_anomaly(moving.kwh, annual, static.aquifer),
        pumping_share(moving.kwh, _resting_load(known, months[-1]) if options.resting_load else np.zeros(len(wells))),
        _dates(wells, "pump_installed_on"),
        _dates(wells, "water_meter_checked_on"),
        works,
    )


def _water(
    known: Known, level: Floats, months: Months, window: Months, spec: FeatureSpec, aquifer: NDArray[np.intp]
) -> tuple[Foretold, Floats]:
    """Foretell the water of the months after the last observation, and give its mean of a year by aquifer, (A, M).

    Where there is no level to start from nothing is foretold but what unusual pumping may do to the water.
    """
    wells, water_levels = known.wells, known.water_levels
    n_aquifers = len(spec.aquifers)
    still = np.zeros((n_aquifers, months.size))
    if water_levels is None or water_levels.empty:
        return Foretold(level, pumped_sd(known.energy, months, np.full(n_aquifers, window[-1]))), still
    last = last_observed(wells, water_levels, aquifer, n_aquifers)
    first, own, beyond = first_level(water_levels), observed_wells(water_levels, wells), spec.beyond(wells)
    spread = np.arange(0, len(wells), max(1, len(wells) // _WELLS_THAT_TELL))

    def movement(some: Months, places: NDArray[np.intp]) -> Floats:
        needed = np.union1d(places, own[own >= 0])
        found, _ = level_movement(wells.iloc[needed], water_levels, some, window, beyond[needed])
        return found[np.searchsorted(needed, places)]

    foretold = Foretold(level, still)
    if (last < months[-1]).any():
        told_by = np.union1d(own, spread).astype(np.intp)
        foretold = foretell(level, months, aquifer, (last, first), told_by[told_by >= 0], movement)
        foretold = replace(foretold, sd=np.hypot(foretold.sd, pumped_sd(known.energy, months, last)))
    year = np.arange(months[0] - (YEAR - 1), months[-1] + 1)
    told = foretell(
        movement(year, spread),
        year,
        aquifer[spread],
        (last, first),
        np.arange(spread.size),
        lambda some, places: movement(some, spread[places]),
    )
    return foretold, lasting_movement(told.level, aquifer[spread], n_aquifers)[:, (months - months[0]).astype(np.intp)]


def pumped_sd(energy: MonthlyEnergy | None, months: Months, last: Months) -> Floats:
    """Give the standard deviation of ln head by aquifer and month that unusual pumping adds after the last observation.

    Parameters
    ----------
    energy : MonthlyEnergy, optional
    months : (M,) datetime64[M]
    last : (A,) datetime64[M]
        Last month in which the water of each aquifer was observed.

    Returns
    -------
    (A, M)
        Of the county's electricity in the year that ends with each month against that of the year before ``last``.
    """
    found = np.zeros((last.size, months.size))
    if energy is None:
        return found
    for since in np.unique(last[~np.isnat(last)]):
        found[last == since] = PUMPED * np.abs(pumping_anomaly(energy.kwh, energy.months, months, since))
    return found


def _resting_load(known: Known, last: np.datetime64) -> Floats:
    """Give the electricity of a month at each well that pumps nothing, from what was read up to ``last``, (N,)."""
    energy, wells = known.energy, known.wells
    if energy is None or not energy.months.size:
        return np.zeros(len(wells))
    end = int(np.searchsorted(energy.months, last, side="right"))
    span = slice(max(0, end - LONGEST), end)
    kwh = energy.kwh[:, span]
    read = np.where(energy.quality[:, span] == _IMPUTED, np.nan, kwh) if kwh.shape[1] >= LEAST_MONTHS else kwh
    return resting_load(read, wells["pump_power_kw"].to_numpy(dtype=np.float64, na_value=np.nan))


def _dates(wells: pd.DataFrame, column: str) -> NDArray[np.datetime64]:
    """Give the dates of a column of the registry, (N,); ``NEVER`` where there are none."""
    if column not in wells.columns:
        return np.full(len(wells), NEVER)
    given = wells[column].to_numpy(dtype="datetime64[s]")
    return np.where(np.isnat(given), NEVER, given)
