"""What sample wells measure: monthly readings of water meters and short pumping tests, with their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.demo.streams import stream
from elec2water.errors import UsageError

if TYPE_CHECKING:
    from elec2water.demo.county import County

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Month: TypeAlias = np.datetime64 | str

_LONG_TEST_MINUTES: Final = 60


@dataclass(frozen=True, eq=False)
class WaterMeters:
    """What clings to a water meter, (N,) for every well of the county, so that two calls agree on a well.

    Attributes
    ----------
    refuses
        No meter may be put there.
    log_bias
        ln of reading over truth: the well's own plus what all meters share.
    """

    refuses: Flags
    log_bias: Floats


def draw_water_meters(
    county: County, *, refusal: float, meter_bias_sd: float, shared_meter_error_sd: float, seed: int
) -> WaterMeters:
    """Draw refusals and instrument errors.

    Parameters
    ----------
    county
        The county.
    refusal
        Mean probability that a well refuses; a little higher in some townships.
    meter_bias_sd, shared_meter_error_sd
        Standard deviation of ln of each meter's own error and of the error common to all.
    seed
        Seed of the campaign.

    Returns
    -------
    WaterMeters
        Of all wells.
    """
    rng, n = stream(seed, "water meters"), len(county.well_id)
    town = pd.factorize(county.wells["township"])[0]
    tilt = np.exp(0.35 * rng.standard_normal(int(town.max()) + 1))[town]
    chance = np.clip(refusal * tilt / tilt.mean(), 0.0, 1.0)
    shared = shared_meter_error_sd * rng.standard_normal()
    return WaterMeters(rng.random(n) < chance, meter_bias_sd * rng.standard_normal(n) + shared)


def measure_pairs(
    county: County,
    well_ids: Sequence[str] | NDArray[np.object_],
    *,
    first: Month,
    last: Month,
    seed: int,
    refusal: float = 0.12,
    noise: float = 0.04,
    meter_bias_sd: float = 0.015,
    shared_meter_error_sd: float = 0.01,
    outliers: float = 0.01,
    missing: float = 0.05,
) -> pd.DataFrame:
    """Read the water meters of sample wells every month.

    Parameters
    ----------
    county
        The county.
    well_ids
        Sample wells.
    first, last
        First and last month read, inclusive (``datetime64[M]`` or text like ``2026-04``).
    seed
        Seed of the campaign. With the same seed and wells, another month range continues the same meters.
    refusal
        Share of wells that give nothing.
    noise
        Standard deviation of ln of a month's reading error.
    meter_bias_sd, shared_meter_error_sd
        Standard deviation of ln of each meter's own error and of the error common to all meters.
    outliers
        Share of grossly wrong months (a factor 0.3 to 3).
    missing
        Share of months not read.

    Returns
    -------
    pandas.DataFrame
        Table ``pairs`` of the contract, a row a well and month with water; wells without electricity give none.

    Raises
    ------
    UsageError
        Unknown wells, or months outside those simulated.
    """
    rows = np.sort(county.rows(well_ids))
    months = _month_range(county, first, last)
    meters = draw_water_meters(
        county, refusal=refusal, meter_bias_sd=meter_bias_sd, shared_meter_error_sd=shared_meter_error_sd, seed=seed
    )
    rng, shape = stream(seed, "pairs"), (len(rows), len(county.months))
    error = noise * rng.standard_normal(shape)
    gross = rng.choice([-1.0, 1.0], shape) * rng.uniform(np.log(1.4), np.log(3.0), shape)
    error += np.where(rng.random(shape) < outliers, gross, 0.0) + meters.log_bias[rows, None]
    read = rng.random(shape) >= missing
    energy = county.energy_kwh[rows] * np.exp(0.004 * rng.standard_normal(shape))
    volume = county.volume_m3[rows] * np.exp(error)
    keep = read & months & (volume > 1) & (energy > 0.1) & ~meters.refuses[rows, None] & county.electric[rows, None]
    well, month = np.nonzero(keep)
    return pd.DataFrame(
        {
            "well_id": pd.Series(county.well_id[rows[well]], dtype="str"),
            "start": county.months[month].astype("datetime64[s]"),
            "end": (county.months[month] + 1).astype("datetime64[s]"),
            "energy_kwh": np.round(energy[keep], 2),
            "volume_m3": np.round(volume[keep], 1),
            "volume_rel_u": 0.02,
            "kind": pd.Series(["meter"] * len(well), dtype="str"),
        }
    )


def measure_tests(
    county: County,
    well_ids: Sequence[str] | NDArray[np.object_],
    *,
    month: Month,
    seed: int,
    refusal: float = 0.05,
    noise: float = 0.06,
    instrument_sd: float = 0.01,
    start_up: float = 0.05,
) -> pd.DataFrame:
    """Test wells once with a portable flow meter, 30 to 120 minutes.

    Parameters
    ----------
    county
        The county.
    well_ids
        Wells to test.
    month
        Month of the campaign.
    seed
        Seed of the campaign.
    refusal
        Share of wells not tested.
    noise
        Standard deviation of ln of a test's error (published: 5 to 7 %).
    instrument_sd
        Standard deviation of ln of the error of the one portable meter.
    start_up
        How much higher a test of 30 minutes reads because the drawdown is still growing; gone at 60 minutes.

    Returns
    -------
    pandas.DataFrame
        Table ``pairs`` of the contract with ``kind='test'``, and depths where the county has water tables.

    Raises
    ------
    UsageError
        Unknown wells, or a month outside those simulated.
    """
    rows = np.sort(county.rows(well_ids))
    column = int(np.flatnonzero(_month_range(county, month, month))[0])
    rng = stream(seed, "tests")
    rows = rows[(rng.random(len(rows)) >= refusal) & county.electric[rows]]
    n = len(rows)
    minutes = rng.choice([30, 40, 60, 90, 120], n, p=[0.15, 0.15, 0.4, 0.15, 0.15])
    short = start_up * np.clip((_LONG_TEST_MINUTES - minutes) / 30, 0, 1)
    error = short + noise * rng.standard_normal(n) + instrument_sd * rng.standard_normal()
    kappa = np.asarray(county.kappa[rows, column], dtype=np.float64) * np.exp(error)
    power = _power_kw(county)[rows] * rng.uniform(0.75, 0.95, n)
    energy = np.round(power * minutes / 60, 2)
    start = county.months[column].astype("datetime64[m]") + rng.integers(0, 28, n) * 1440 + rng.integers(480, 960, n)
    frame = pd.DataFrame(
        {
            "well_id": pd.Series(county.well_id[rows], dtype="str"),
            "start": start.astype("datetime64[s]"),
            "end": (start + minutes).astype("datetime64[s]"),
            "energy_kwh": energy,
            "volume_m3": np.round(energy * kappa, 2),
            "volume_rel_u": 0.03,
            "kind": pd.Series(["test"] * n, dtype="str"),
        }
    )
    if county.depth_m is not None:
        rest = np.asarray(county.depth_m[rows, column], dtype=np.float64)
        frame["static_depth_m"] = np.round(rest, 1)
        frame["dynamic_depth_m"] = np.round(rest + rng.gamma(4.0, 1.2, n), 1)
    return frame


def _month_range(county: County, first: Month, last: Month) -> Flags:
    start, end = np.asarray([first, last], dtype="datetime64[M]")
    if not county.months[0] <= start <= end <= county.months[-1]:
        span = f"{county.months[0]} to {county.months[-1]}"
        raise UsageError(f"first and last: expected months within {span}, found {start} to {end}")
    return np.asarray((county.months >= start) & (county.months <= end))


def _power_kw(county: County) -> Floats:
    power = county.wells["pump_power_kw"].to_numpy(dtype=np.float64)
    return np.where(np.isnan(power), 11.0, power)
