"""Where the water stood at every well against its own usual depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.coefficient.features import HEAD_BEYOND_M, HEAD_CURVATURE, FeatureSpec
from elec2water.levels import Levels, depth_by_well

Floats = NDArray[np.float64]
Months = NDArray[np.datetime64]

_BENDS_WITHIN = 0.5


@dataclass(frozen=True)
class Head:
    """What a well lifts: ``beyond_m`` [m] more than the depth to water, and how its coefficient bends with it."""

    beyond_m: float = HEAD_BEYOND_M
    curvature: float = HEAD_CURVATURE

    @classmethod
    def of(cls, spec: FeatureSpec) -> Head:
        """Give what a coefficient takes for granted."""
        return cls(spec.head_beyond_m, spec.head_curvature)

    def bent(self, movement: Floats) -> Floats:
        """Give the movement of ln head as a pump of one speed answers to it: ``a + c a²``, any shape.

        Water that falls moves a centrifugal pump up its curve H₀ - aQ², to less flow and, η = η* x (2 - x) with
        x = Q/Q*, further from its best point; the slope of ln κ on ln H is the steeper the further it has fallen. With
        shutoff heads of 1.2 to 1.5 times the rated head, 15 to 30 % of the head in drawdown and friction and pumps that
        began at 0.75 to 1.05 of their best flow, the square's coefficient is -0.5 to -7, in the middle -2; one is the
        careful end of it, for wells with a variable speed or a throttle have none. Beyond ±0.5 the bend is that of
        ±0.5, so that a higher head is never a better coefficient.
        """
        bend = self.curvature * np.clip(movement, -_BENDS_WITHIN, _BENDS_WITHIN)
        return np.asarray(movement * (1.0 + bend))


def level_movement(
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None,
    months: Months,
    window: Months,
    head: Head,
) -> tuple[Floats, Floats]:
    """Give the ln head less the well's own over ``window``, bent, (N, M), and the usual depth to water (N,) [m].

    NaN where nothing is known.
    """
    n = len(wells)
    if water_levels is None or water_levels.empty:
        return np.full((n, months.size), np.nan), np.full(n, np.nan)
    wanted = np.union1d(months, window)
    levels: Levels = depth_by_well(wells, water_levels, wanted)
    depth = np.where(levels.depth_m > 0.0, levels.depth_m, np.nan)
    here = np.isin(wanted, window)
    log_head = np.log(depth + head.beyond_m)
    anomaly = log_head[:, np.isin(wanted, months)] - _mean_known(log_head[:, here])[:, None]
    return head.bent(_share_movement(anomaly, wells)), np.exp(_mean_known(np.log(depth[:, here])))


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
