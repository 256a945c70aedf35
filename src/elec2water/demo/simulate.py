"""Draw a county: physics first, tables last."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import quarter_months
from elec2water.demo import aquifers, metering, pumping, registry
from elec2water.demo.county import County
from elec2water.demo.streams import stream
from elec2water.errors import UsageError

_BLOCK: Final = 50_000
_DOUBLE_UP_TO: Final = 100_000
_LEAST_PERMIT_M3: Final = 1000.0  # a well: nobody is allowed less than a few days of pumping


def simulate_county(
    n_wells: int = 500,
    seed: int = 2026,
    *,
    months: int = 36,
    end_quarter: str = "2026Q3",
    n_townships: int | None = None,
    shared_meters: float = 0.04,
    replaced_per_year: float = pumping.REPLACED_PER_YEAR,
    recorded: float = pumping.RECORDED,
    name: str = "示范县",
    county_code: str = "130499",
) -> County:
    """Simulate a county of irrigation wells whose true volumes are known.

    Parameters
    ----------
    n_wells
        Wells in the registry.
    seed
        Same seed, same county.
    months
        Months simulated, the last being the last of `end_quarter`.
    end_quarter
        Text like ``2026Q3``.
    n_townships
        By default one for 40 wells, from 3 to 16.
    shared_meters
        Share of wells that hang on a meter with a neighbour.
    replaced_per_year, recorded
        Share of the pumps replaced in a year, and of these replacements that the registry learns of.
    name, county_code
        Of the county; the code is of no real county.

    Returns
    -------
    County
        Tables and truth; float64 up to 100,000 wells, float32 above.

    Raises
    ------
    UsageError
        Fewer than 1 well, fewer than 3 months, a negative seed or a malformed quarter.

    Notes
    -----
    κ = 367.1 η/H. Water tables fall with the years and in the irrigation season; the pump and system curves give flow
    and head; efficiency spreads by well, wears and is renewed; farmers want water and energy follows, so that a poor
    pump burns more of it. Levels of κ, its spread and its movement lie within the published figures that
    ``tests/test_demo.py`` quotes.
    """
    if n_wells < 1 or months < 3 or seed < 0:
        raise UsageError(
            f"n_wells, months and seed: expected at least 1, 3 and 0, found {n_wells}, {months} and {seed}"
        )
    townships = n_townships or int(np.clip(round(n_wells / 40), 3, 16))
    span = quarter_months(end_quarter)[-1] + np.arange(1 - months, 1)
    climate = aquifers.draw_climate(span, seed)
    base = aquifers.draw_base_depth(townships, seed)
    table = aquifers.draw_water_tables(base, climate, seed)
    plants = registry.draw_plants(n_wells, townships, base, seed)
    pumps = pumping.draw_pumps(plants, seed, replaced_per_year=replaced_per_year, recorded=recorded)
    truth = _truth(plants, pumps, table, climate, seed)
    ids = registry.well_ids(n_wells, seed)
    installed = pumping.installation_dates(plants, pumps, climate)
    wells = registry.registry_table(plants, ids, installed, seed, name)
    wells["permit_no"], permits = _permits(plants, truth[1], county_code, seed)
    wiring = metering.wire_wells(
        plants.electric, plants.township * 1000 + plants.village, plants.power_kw, shared_meters, seed
    )
    meter_ids = metering.draw_meter_ids(int(wiring.meter.max(initial=-1)) + 1, seed)
    places = (np.repeat(registry.township_names(townships, seed), 3), np.tile(registry.AQUIFERS, townships))
    return County(
        name=name,
        county_code=county_code,
        seed=seed,
        wells=wells,
        meters=metering.meter_table(wiring, ids, meter_ids, seed),
        water_levels=aquifers.level_table(table, climate, places, np.unique(plants.group), seed),
        permits=permits,
        billing=metering.bill(truth[0], wiring, meter_ids, span, seed),
        well_id=ids,
        months=span,
        energy_kwh=truth[0],
        volume_m3=truth[1],
        kappa=truth[2],
        depth_m=truth[3],
        pump_replaced=_replaced(pumps, climate),
    )


def _replaced(pumps: pumping.Pumps, climate: aquifers.Climate) -> NDArray[np.datetime64]:
    """Give the first month that a new pump works, NaT for pumps that stay: a month counts by its middle."""
    place = np.searchsorted(climate.years, pumps.replaced_after_years)
    within = place < len(climate.months)
    month = climate.months[np.where(within, place, 0)]
    return np.where(within, month, np.datetime64("NaT", "M"))


def _truth(
    plants: registry.Plants,
    pumps: pumping.Pumps,
    table: NDArray[np.float64],
    climate: aquifers.Climate,
    seed: int,
) -> tuple[NDArray[np.floating[Any]], ...]:
    """Run the wells in blocks: energy, volume, κ and depth, (N, M) each."""
    kind = np.float64 if len(plants) <= _DOUBLE_UP_TO else np.float32
    out = tuple(np.empty((len(plants), len(climate.months)), dtype=kind) for _ in range(4))
    for block, first in enumerate(range(0, len(plants), _BLOCK)):
        rows = slice(first, first + _BLOCK)
        flows = pumping.simulate_block(plants, pumps, table, climate, rows, stream(seed, "months", block))
        for array, values in zip(out, (flows.energy_kwh, flows.volume_m3, flows.kappa, flows.depth_m), strict=True):
            array[rows] = values
    return out


def _permits(
    plants: registry.Plants,
    volume_m3: NDArray[np.floating[Any]],
    county_code: str,
    seed: int,
) -> tuple[pd.Series[str], pd.DataFrame]:
    """Give every one to eight wells of a village a permit, sized near what they use; 4 % of wells have none."""
    rng = stream(seed, "permits")
    n = len(plants)
    village = plants.township * 1000 + plants.village
    order = np.argsort(village + rng.random(n), kind="stable")
    starts = np.concatenate([[True], village[order[1:]] != village[order[:-1]]]) | (rng.random(n) < 0.3)
    number = np.empty(n, dtype=np.int64)
    number[order] = np.cumsum(starts) - 1
    count = int(number.max()) + 1
    year = rng.choice([2021, 2022, 2023], count)
    text = np.array([f"D{county_code}G{y}-{k:04d}" for k, y in enumerate(year, start=1)], dtype=object)
    used = np.bincount(number, weights=volume_m3.mean(axis=1, dtype=np.float64) * 12, minlength=count)
    least = _LEAST_PERMIT_M3 * np.bincount(number, minlength=count)
    limit = np.maximum(np.round(used * np.exp(0.12 + 0.2 * rng.standard_normal(count)), -2), least)
    holder_town = registry.township_names(int(plants.township.max()) + 1, seed)
    first = np.zeros(count, dtype=np.int64)
    first[number] = plants.township
    held = pd.Series(text[number], dtype="str").mask(rng.random(n) < 0.04)
    granted = year.astype(str).astype("datetime64[Y]").astype("datetime64[s]")
    permits = pd.DataFrame(
        {
            "permit_no": pd.Series(text, dtype="str"),
            "holder": pd.Series([f"{holder_town[t]}第{k}用水户" for k, t in enumerate(first, start=1)], dtype="str"),
            "annual_volume_m3": limit,
            "plan_volume_m3": np.round(limit * rng.uniform(0.8, 1.0, count), -2),
            "valid_from": granted,
            "valid_to": (year + 5).astype(str).astype("datetime64[Y]").astype("datetime64[s]"),
            "purpose": pd.Series(["农业灌溉"] * count, dtype="str"),
        }
    )
    return held, permits
