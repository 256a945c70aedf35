"""Where the water stood at every well against its own usual depth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.levels import Levels, depth_by_well

Floats = NDArray[np.float64]
Months = NDArray[np.datetime64]


def level_movement(
    wells: pd.DataFrame, water_levels: pd.DataFrame | None, months: Months, window: Months
) -> tuple[Floats, Floats]:
    """Give the ln depth to water less the well's own over ``window``, (N, M), and that usual depth (N,) [m].

    NaN where nothing is known.
    """
    n = len(wells)
    if water_levels is None or water_levels.empty:
        return np.full((n, months.size), np.nan), np.full(n, np.nan)
    wanted = np.union1d(months, window)
    levels: Levels = depth_by_well(wells, water_levels, wanted)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_depth = np.log(levels.depth_m)
    log_depth[~np.isfinite(log_depth)] = np.nan
    usual = log_depth[:, np.isin(wanted, window)]
    known = np.isfinite(usual)
    count = known.sum(axis=1)
    reference = np.where(count > 0, np.where(known, usual, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
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
