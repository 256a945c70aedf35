"""What the wells do month by month: heads move, pumps wear and are replaced, farmers want water, meters turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from elec2water import hydraulics
from elec2water.demo.aquifers import Climate, autoregressive
from elec2water.demo.streams import stream

if TYPE_CHECKING:
    from elec2water.demo.registry import Plants

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

_DAYS_PER_YEAR: Final = 365.25
REPLACED_PER_YEAR: Final = 0.05
RECORDED: Final = 0.6
_HOURS_PER_MONTH: Final = 600.0
_SEASON: Final = np.array([0.004, 0.010, 0.055, 0.085, 0.125, 0.175, 0.205, 0.165, 0.085, 0.050, 0.035, 0.006])
_NORM_M3_PER_MU: Final = np.array([225.0, 195.0, 155.0, 125.0])
_STATUS_USE: Final = np.array([1.0, 0.1, 0.0, 0.0])


@dataclass(frozen=True, eq=False)
class Pumps:
    """Condition of each well's pump through the months, arrays of shape (N,).

    Attributes
    ----------
    log_efficiency, log_efficiency_next
        ln of the wire-to-water efficiency at the best point when new, of the pump and of the one that replaces it.
    wear_per_year, wear_per_year_next
        Change of ln efficiency a year, negative.
    replaced_after_years
        From the first month; infinite for a pump that stays.
    recorded
        Whether the registry learns of the replacement.
    """

    log_efficiency: Floats
    log_efficiency_next: Floats
    wear_per_year: Floats
    wear_per_year_next: Floats
    replaced_after_years: Floats
    recorded: Flags


@dataclass(frozen=True, eq=False)
class Flows:
    """Truth of a block of wells: (n, M) each."""

    energy_kwh: Floats
    volume_m3: Floats
    kappa: Floats
    depth_m: Floats


def draw_pumps(
    plants: Plants, seed: int, *, replaced_per_year: float = REPLACED_PER_YEAR, recorded: float = RECORDED
) -> Pumps:
    """Draw how good the pumps are and how they age.

    New plants reach a wire-to-water efficiency of about 0.56, larger ones a little more; wear averages 2 % a year
    (published: 1 to 2.2 % a year). A new pump in an old well keeps a part of the well's character:
    screen, cable, column pipe. Townships differ by some 6 %: they buy from the same dealers and share an electrician.
    """
    rng, n = stream(seed, "pumps"), len(plants)
    size = 0.04 * np.log(plants.power_kw / 11.0)
    trade = 0.06 * stream(seed, "township trade").standard_normal(int(plants.township.max()) + 1)
    well = 0.17 * rng.standard_normal(n)
    other = 0.5 * well + 0.14 * rng.standard_normal(n)
    new = np.log(0.57) + size + trade[plants.township]
    low, high = np.log(0.30), np.log(0.68)
    return Pumps(
        log_efficiency=np.clip(new + well, low, high),
        log_efficiency_next=np.clip(new + 0.05 + other, low, high),
        wear_per_year=-rng.gamma(2.2, 0.02 / 2.2, n),
        wear_per_year_next=-rng.gamma(2.2, 0.02 / 2.2, n),
        replaced_after_years=rng.exponential(1.0 / max(replaced_per_year, 1e-9), n),
        recorded=rng.random(n) < recorded,
    )


def installation_dates(plants: Plants, pumps: Pumps, climate: Climate) -> NDArray[np.datetime64]:
    """When each pump was put in as far as the registry was told, (N,) ``datetime64[D]``."""
    start = climate.months[0].astype("datetime64[D]")
    known = pumps.recorded & (pumps.replaced_after_years < len(climate.months) / 12)
    years = np.where(known, pumps.replaced_after_years, -plants.pump_age_years)
    return np.asarray(start + (years * _DAYS_PER_YEAR).astype("timedelta64[D]"))


def log_best_efficiency(pumps: Pumps, plants: Plants, climate: Climate, rows: slice) -> Floats:
    """Efficiency at the best point, worn by age and renewed by replacement: ln η, (n, M)."""
    years = climate.years[None, :]
    at = pumps.replaced_after_years[rows, None]
    worn = pumps.log_efficiency[rows, None] + pumps.wear_per_year[rows, None] * (
        plants.pump_age_years[rows, None] + years
    )
    renewed = pumps.log_efficiency_next[rows, None] + pumps.wear_per_year_next[rows, None] * (years - at)
    return np.asarray(np.where(years < at, worn, renewed))


def plant_state(plants: Plants, log_best: Floats, rest_m: Floats, rows: slice) -> tuple[Floats, Floats]:
    """Operate the pumps: flow and coefficient where the pump curve meets the system curve.

    Parameters
    ----------
    plants
        The wells.
    log_best
        (n, M) ln efficiency at the best point.
    rest_m
        (n, M) depth to water at rest [m].
    rows
        Which wells.

    Returns
    -------
    flow, kappa
        (n, M) each [m³/h], [m³/kWh].
    """
    design = plants.design_flow[rows, None]
    linear, quadratic = plants.drawdown_per_flow[rows, None], plants.friction[rows, None]
    lift = rest_m + plants.outlet_m[rows, None]
    shutoff, curvature = hydraulics.pump_curve_from_rating(design, plants.rated_head_m[rows, None])
    flow = hydraulics.operating_flow(shutoff, curvature, lift, linear, quadratic)
    flow = np.maximum(
        flow, 0.3 * design
    )  # below that the farmer throttles, cleans or lowers the pump rather than pump air
    drive = plants.vfd[rows, None]
    flow = np.where(drive, np.minimum(flow, design), flow)
    best = np.exp(log_best)
    efficiency = np.where(drive, 0.96 * best, hydraulics.efficiency_at_flow(flow, design, best))
    head = hydraulics.total_dynamic_head(lift, linear * flow, quadratic * flow**2, 0.0)
    return flow, hydraulics.conversion_coefficient(efficiency, head)


def wanted_volume(plants: Plants, kappa: Floats, climate: Climate, rows: slice, rng: np.random.Generator) -> Floats:
    """Water the farmers want, (n, M) [m³].

    Area × norm per mu × season of the crop × weather × the farmer's habit; dear water (a low κ) is used a little less.
    Turns are whole irrigations, so that months of little need are often zero.
    """
    shape = kappa.shape
    season = _SEASON[climate.number - 1]
    season = season / season.sum()
    norm = _NORM_M3_PER_MU[plants.method[rows]] * np.exp(0.35 * rng.standard_normal(shape[0]))
    price = (kappa.mean(axis=1) / np.exp(np.log(kappa).mean())) ** 0.30
    year = plants.area_mu[rows] * norm * price * _STATUS_USE[plants.status[rows]]
    month = season * np.exp(0.22 * climate.dryness) * np.exp(0.40 * rng.standard_normal(shape) - 0.08)
    chance = 1 - np.exp(-40 * season)
    return np.asarray(year[:, None] * month * (rng.random(shape) < chance) / chance)


def other_load(n: int, months: int, rng: np.random.Generator) -> Floats:
    """Electricity behind the meter that pumps nothing: a lamp or a hut at 8 % of the wells, (n, M) [kWh]."""
    level = np.where(rng.random(n) < 0.08, np.exp(np.log(12.0) + 0.6 * rng.standard_normal(n)), 0.0)
    return np.asarray(level[:, None] * np.exp(0.3 * rng.standard_normal((n, months))))


def simulate_block(
    plants: Plants, pumps: Pumps, table_m: Floats, climate: Climate, rows: slice, rng: np.random.Generator
) -> Flows:
    """Run a block of wells through the months.

    Parameters
    ----------
    plants, pumps
        All wells.
    table_m
        (G, M) depth to water of the groups.
    climate
        Months and weather.
    rows
        The block.
    rng
        Stream of the block.

    Returns
    -------
    Flows
        Truth of the block; energy is 0 where there is no electricity.
    """
    rest = np.maximum(table_m[plants.group[rows]] + plants.offset_m[rows, None], 1.0)
    n, months = rest.shape
    passing = 0.025 * autoregressive(0.6, (n, months), rng)
    slow = 0.006 * np.cumsum(rng.standard_normal((n, months)), axis=1)
    flow, kappa = plant_state(plants, log_best_efficiency(pumps, plants, climate, rows), rest, rows)
    kappa = kappa * np.exp(passing + slow)
    volume = np.minimum(wanted_volume(plants, kappa, climate, rows, rng), flow * _HOURS_PER_MONTH)
    energy = (volume / kappa + other_load(n, months, rng)) * plants.electric[rows, None]
    return Flows(energy, volume, kappa, rest)
