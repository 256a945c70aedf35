"""Where the water stood at every well against its own usual depth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.levels import Levels, depth_by_well
from elec2water.sums import membership

Floats = NDArray[np.float64]
Months = NDArray[np.datetime64]

YEAR = 12
"""Months whose mean is without season."""


def level_movement(
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None,
    months: Months,
    window: Months,
    head_beyond_m: Floats,
) -> tuple[Floats, Floats]:
    """Give the ln head less the well's own over ``window``, (N, M), and the usual depth to water (N,) [m].

    NaN where nothing is known. ``head_beyond_m`` (N,) is what each pump lifts beyond the depth to water.
    """
    n = len(wells)
    if water_levels is None or water_levels.empty:
        return np.full((n, months.size), np.nan), np.full(n, np.nan)
    wanted = np.union1d(months, window)
    levels: Levels = depth_by_well(wells, water_levels, wanted)
    depth = np.where(levels.depth_m > 0.0, levels.depth_m, np.nan)
    here = np.isin(wanted, window)
    log_head = np.log(depth + head_beyond_m[:, None])
    anomaly = log_head[:, np.isin(wanted, months)] - _mean_known(log_head[:, here])[:, None]
    return _share_movement(anomaly, wells), np.exp(_mean_known(np.log(depth[:, here])))


def _mean_known(values: Floats) -> Floats:
    """Mean of what is known in each row; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.full(count.size, np.nan), where=count > 0))


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


def first_level(water_levels: pd.DataFrame | None) -> np.datetime64:
    """Give the first month of a table of water levels; the year 9999 where there is none."""
    never = np.datetime64("9999-01", "M")
    if water_levels is None:
        return never
    dates = [water_levels[c].to_numpy(dtype="datetime64[M]") for c in ("month", "date") if c in water_levels.columns]
    known = np.concatenate([d[~np.isnat(d)] for d in dates]) if dates else np.zeros(0, "datetime64[M]")
    return known.min() if known.size else never


def lasting_movement(level: Floats, group: NDArray[np.intp], n_groups: int) -> Floats:
    """Give the mean movement over the year that ends with each month, by group of wells.

    Parameters
    ----------
    level : (N, M)
        Movement of ln head of each well; NaN where unknown.
    group : (N,)
        Aquifer of each well.
    n_groups : int

    Returns
    -------
    (A, M - 11)
        Mean of what is known of the months of a year; zero where that is nothing.
    """
    known = np.isfinite(level)
    member = membership(group, n_groups)
    count = member @ known.astype(np.float64)
    mean = (member @ np.where(known, level, 0.0)) / np.maximum(count, 1.0)
    seen = np.lib.stride_tricks.sliding_window_view((count > 0).astype(np.float64), YEAR, axis=1).sum(axis=2)
    total = np.lib.stride_tricks.sliding_window_view(mean, YEAR, axis=1).sum(axis=2)
    return np.asarray(total / np.maximum(seen, 1.0))


def carried_movement(level: Floats, aquifer: NDArray[np.intp], of_wells: NDArray[np.intp]) -> Floats:
    """Give all wells the mean movement that the sample wells of their aquifer had when it was last known, (N,).

    Parameters
    ----------
    level, aquifer : (W,)
        Of the sample wells; an aquifer without one takes the mean of all.
    of_wells : (N,)
        Aquifer of every well.
    """
    size = int(max(aquifer.max(initial=0), of_wells.max(initial=0))) + 1
    count = np.bincount(aquifer, minlength=size)
    total = np.bincount(aquifer, weights=level, minlength=size)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), level.mean())[of_wells])
