"""What an irrigation method asks of the pump beyond the lift: the pressure at which it delivers, as a head."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from elec2water.keys import Keys

Floats: TypeAlias = NDArray[np.float64]
DeliveryHeads: TypeAlias = tuple[tuple[str, float], ...]
"""Irrigation methods and the head [m] at which each delivers beyond an open outlet."""

METHOD = "irrigation_method"
HEAD_BEYOND_M = 12.0
"""Drawdown, friction and outlet [m]: what a pump lifts beyond the depth to water, where nothing better is known."""
PUMP_BELOW_WATER_M = 15.0
"""How far below the water at rest a pump hangs, where only its setting depth is known."""
USUAL_LIFT_M = 33.0
"""Depth to water of a well of which no depth is known at all."""
_LEAST_LIFT_M = 5.0


@cache
def published_heads() -> DeliveryHeads:
    """Give the delivery heads of ``data/delivery.csv``, which names the standard or the tests each is from."""
    text = resources.files("elec2water").joinpath("data/delivery.csv").read_text(encoding="utf-8")
    return tuple((row["method"], float(row["head_m"])) for row in csv.DictReader(text.splitlines()))


def delivery_head(wells: pd.DataFrame, heads: DeliveryHeads) -> Floats:
    """Give the delivery head of each well by its irrigation method, (N,) [m]; NaN where method or head is not known."""
    if METHOD not in wells.columns:
        return np.full(len(wells), np.nan)
    method = Keys.of(wells[METHOD])
    known = dict(heads)
    of_level = np.array([known.get(str(name), np.nan) for name in method.names] + [np.nan])
    return of_level[method.codes]


def head_beyond(beyond_m: float, delivery_m: Floats) -> Floats:
    """Give what each pump lifts beyond its depth to water, (N,) [m]: ``beyond_m`` and its method's delivery head."""
    return np.asarray(beyond_m + np.nan_to_num(delivery_m))


def lift_of_pump(pump_depth_m: ArrayLike) -> Floats:
    """Depth to water that a setting depth suggests, any shape [m]: 15 m above the pump, 5 m at least."""
    return np.asarray(np.maximum(np.asarray(pump_depth_m, dtype=np.float64) - PUMP_BELOW_WATER_M, _LEAST_LIFT_M))


def usual_lift(depth_to_water_m: Floats, pump_depth_m: Floats) -> Floats:
    """Depth to water as far as it can be known, (N,) [m]: measured, else by the setting depth, else 33 m."""
    by_pump = np.where(pump_depth_m > 0, lift_of_pump(pump_depth_m), USUAL_LIFT_M)
    return np.where(np.isfinite(depth_to_water_m), depth_to_water_m, by_pump)


def log_delivery(delivery_m: Floats, open_head_m: Floats) -> Floats:
    """By how much delivering at a head p raises ln H, any shape: ln (1 + p / H₀), H₀ the head with an open outlet.

    κ = 367.1 η/H with the outlet pressure in H, so that ln κ falls by as much where η stays (METHOD.md).
    """
    return np.asarray(np.log1p(delivery_m / open_head_m))
