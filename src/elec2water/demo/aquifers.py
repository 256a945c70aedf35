"""Water tables: depth by township, aquifer and month, and what the monitoring wells say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.demo.streams import stream

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

_LOWEST_MONTH: Final = 7.3


@dataclass(frozen=True, eq=False)
class Climate:
    """What all wells share: months and how dry each was.

    Attributes
    ----------
    months
        (M,) ``datetime64[M]``.
    dryness
        (M,) standardised anomaly, positive when dry.
    """

    months: NDArray[np.datetime64]
    dryness: Floats

    @property
    def number(self) -> Ints:
        """(M,) 1 to 12."""
        return self.months.astype(np.int64) % 12 + 1

    @property
    def years(self) -> Floats:
        """(M,) years from the first month to the middle of each."""
        return (np.arange(len(self.months)) + 0.5) / 12


def draw_climate(months: NDArray[np.datetime64], seed: int) -> Climate:
    """Draw the weather: an autoregressive anomaly of lag-one correlation 0.5."""
    return Climate(months, autoregressive(0.5, (len(months),), stream(seed, "climate")))


def autoregressive(correlation: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw stationary AR(1) series of variance 1 along the last axis."""
    series = rng.standard_normal(shape)
    series[..., 1:] *= np.sqrt(1 - correlation**2)
    for step in range(1, shape[-1]):
        series[..., step] += correlation * series[..., step - 1]
    return series


def draw_base_depth(townships: int, seed: int) -> Floats:
    """Depth to water of every township × (shallow, deep, karst) at the start [m], shape (townships × 3,)."""
    rng = stream(seed, "base depth")
    shallow = 9 + 17 * rng.beta(1.8, 2.2, townships)
    deep = 34 + 36 * rng.beta(2.0, 2.0, townships)
    karst = 22 + 20 * rng.beta(2.0, 2.0, townships)
    return np.column_stack([shallow, deep, karst]).ravel()


def draw_water_tables(base_depth_m: Floats, climate: Climate, seed: int) -> Floats:
    """Depth to water at rest of each group and month.

    A linear decline of 0.3–1 m a year, a season that is deepest at the end of the irrigation peak, a share of the
    weather of all groups, and each group's own slow noise.

    Parameters
    ----------
    base_depth_m
        (G,) depth at the start [m].
    climate
        Months and weather.
    seed
        Seed of the county.

    Returns
    -------
    numpy.ndarray
        (G, M) depth [m].
    """
    rng = stream(seed, "water tables")
    groups = len(base_depth_m)
    trend = rng.uniform(0.3, 1.0, groups)[:, None] * climate.years
    swing = 0.080 * (base_depth_m + 9) * rng.uniform(0.8, 1.2, groups)
    season = np.cos(2 * np.pi * (climate.number - _LOWEST_MONTH) / 12)
    weather = 0.25 * np.convolve(climate.dryness, [0.4, 0.4, 0.2])[: len(climate.months)]
    own = 0.12 * autoregressive(0.8, (groups, len(climate.months)), rng)
    depth = base_depth_m[:, None] + trend + swing[:, None] * (season + weather + own)
    return np.asarray(np.maximum(depth, 1.5))


def level_table(
    depth_m: Floats, climate: Climate, places: tuple[NDArray[np.object_], NDArray[np.object_]], groups: Ints, seed: int
) -> pd.DataFrame:
    """Give the monthly means of the monitoring wells: ``month, township, aquifer, depth_m``.

    Few monitoring wells stand for a township, so that each mean is off by a constant (sd 0.6 m) and by 0.15 m a month;
    4 % of the months are missing.

    Parameters
    ----------
    depth_m
        (G, M) true depth [m].
    climate
        Months.
    places
        (G,) township and (G,) aquifer of each group.
    groups
        The groups that are monitored, those where there are wells.
    seed
        Seed of the county.

    Returns
    -------
    pandas.DataFrame
        The contract's table.
    """
    rng = stream(seed, "monitoring")
    count = len(climate.months)
    shape = (len(groups), count)
    seen = depth_m[groups] + 0.6 * rng.standard_normal((len(groups), 1)) + 0.15 * rng.standard_normal(shape)
    township, aquifer = places
    frame = pd.DataFrame(
        {
            "month": np.tile(climate.months.astype("datetime64[s]"), len(groups)),
            "township": pd.Series(np.repeat(township[groups], count), dtype="str"),
            "aquifer": pd.Series(np.repeat(aquifer[groups], count), dtype="str"),
            "depth_m": np.round(np.maximum(seen, 0.5), 2).ravel(),
        }
    )
    return frame[rng.random(len(frame)) >= 0.04].reset_index(drop=True)
