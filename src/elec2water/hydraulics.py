"""What a pumping plant does: head, pump and system curves, efficiency, drawdown, and κ = 367.1 η/H.

Every function is elementwise over arrays that broadcast. Flows are m³/h, heads and depths m, efficiencies fractions,
coefficients m³ per kWh; the aquifer formulas take transmissivity in m²/day and time in days, as well tests are written.
"""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import exp1

__all__ = [
    "M3_M_PER_KWH",
    "conversion_coefficient",
    "cooper_jacob_drawdown",
    "darcy_weisbach_coefficient",
    "efficiency_at_flow",
    "operating_flow",
    "pump_curve_from_rating",
    "pump_head",
    "theis_drawdown",
    "total_dynamic_head",
    "wire_to_water_efficiency",
]

Floats: TypeAlias = NDArray[np.float64]

GRAVITY_M_PER_S2: Final = 9.80665
WATER_DENSITY_KG_PER_M3: Final = 1000.0
M3_M_PER_KWH: Final = 3.6e6 / (WATER_DENSITY_KG_PER_M3 * GRAVITY_M_PER_S2)
"""Cubic metres that one kWh lifts by one metre without loss: 3.6e6 J / (ρ g) = 367.1."""

SHUTOFF_RATIO: Final = 1.33


def conversion_coefficient(efficiency: ArrayLike, head_m: ArrayLike) -> Floats:
    """Water lifted by one kWh: κ = 3.6e6 η / (ρ g H) = 367.1 η / H.

    Parameters
    ----------
    efficiency
        Wire-to-water efficiency η, a fraction in (0, 1].
    head_m
        Total dynamic head H [m], positive.

    Returns
    -------
    numpy.ndarray
        κ [m³/kWh], in the broadcast shape of the arguments.

    Raises
    ------
    ValueError
        A head that is not positive.

    Examples
    --------
    >>> round(float(conversion_coefficient(0.5, 36.71)), 3)
    5.0
    """
    head = np.asarray(head_m, dtype=np.float64)
    if np.any(head <= 0):
        raise ValueError(f"head_m must be positive; the smallest is {np.nanmin(head):g} m")
    return np.asarray(M3_M_PER_KWH * np.asarray(efficiency, dtype=np.float64) / head)


def wire_to_water_efficiency(coefficient_m3_per_kwh: ArrayLike, head_m: ArrayLike) -> Floats:
    """Efficiency implied by a measured coefficient: η = κ H / 367.1, the inverse of `conversion_coefficient`.

    Parameters
    ----------
    coefficient_m3_per_kwh
        κ [m³/kWh].
    head_m
        Total dynamic head [m].

    Returns
    -------
    numpy.ndarray
        η, a fraction; above 1 the coefficient, the head or both are wrong.
    """
    kappa = np.asarray(coefficient_m3_per_kwh, dtype=np.float64)
    return np.asarray(kappa * np.asarray(head_m, dtype=np.float64) / M3_M_PER_KWH)


def total_dynamic_head(
    static_depth_m: ArrayLike, drawdown_m: ArrayLike, friction_m: ArrayLike, outlet_m: ArrayLike
) -> Floats:
    """Head a pump works against: depth to water at rest + drawdown + friction + outlet pressure, all in m of water."""
    parts = (static_depth_m, drawdown_m, friction_m, outlet_m)
    return np.asarray(sum(np.asarray(part, dtype=np.float64) for part in parts), dtype=np.float64)


def darcy_weisbach_coefficient(length_m: ArrayLike, diameter_m: ArrayLike, friction_factor: ArrayLike = 0.02) -> Floats:
    """Friction of a full round pipe as h = c Q², with c = 8 f L / (π² g d⁵) brought to Q in m³/h.

    Parameters
    ----------
    length_m, diameter_m
        Length and inner diameter of the pipe [m].
    friction_factor
        Darcy friction factor f; 0.02 is usual for steel and PVC irrigation pipe in turbulent flow.

    Returns
    -------
    numpy.ndarray
        c [m per (m³/h)²].
    """
    length, diameter = np.asarray(length_m, dtype=np.float64), np.asarray(diameter_m, dtype=np.float64)
    per_m3_s = 8 * np.asarray(friction_factor) * length / (np.pi**2 * GRAVITY_M_PER_S2 * diameter**5)
    return np.asarray(per_m3_s / 3600.0**2)


def pump_curve_from_rating(
    rated_flow_m3_per_h: ArrayLike, rated_head_m: ArrayLike, shutoff_ratio: float = SHUTOFF_RATIO
) -> tuple[Floats, Floats]:
    """Quadratic pump curve H(Q) = H₀ − a Q² through the rating plate's point.

    Parameters
    ----------
    rated_flow_m3_per_h, rated_head_m
        Flow and head at the best efficiency point.
    shutoff_ratio
        H₀ over the rated head. Centrifugal and deep-well pumps close to 1.2–1.4; EPANET assumes 1.33
        where only one point of the curve is known (EPANET 2.2 user manual, pump curves, single-point curve).

    Returns
    -------
    shutoff_m, curvature
        H₀ [m] and a [m per (m³/h)²].

    Raises
    ------
    ValueError
        A shutoff ratio that is not above 1.
    """
    if not shutoff_ratio > 1:
        raise ValueError(f"shutoff_ratio must be above 1 for a falling pump curve; found {shutoff_ratio:g}")
    flow, head = np.asarray(rated_flow_m3_per_h, dtype=np.float64), np.asarray(rated_head_m, dtype=np.float64)
    return np.asarray(shutoff_ratio * head), np.asarray((shutoff_ratio - 1) * head / flow**2)


def pump_head(flow_m3_per_h: ArrayLike, shutoff_m: ArrayLike, curvature: ArrayLike) -> Floats:
    """Head of a quadratic pump curve at a flow: H₀ − a Q²."""
    flow = np.asarray(flow_m3_per_h, dtype=np.float64)
    return np.asarray(np.asarray(shutoff_m) - np.asarray(curvature) * flow**2)


def operating_flow(
    shutoff_m: ArrayLike, curvature: ArrayLike, lift_m: ArrayLike, linear: ArrayLike, quadratic: ArrayLike
) -> Floats:
    """Flow where a quadratic pump curve meets a system curve.

    H₀ − a Q² = h + b Q + c Q² is a quadratic in Q with one root that is not negative; it is taken in the form that does
    not cancel, 2(H₀ − h) / (b + √(b² + 4(a + c)(H₀ − h))).

    Parameters
    ----------
    shutoff_m, curvature
        H₀ [m] and a [m per (m³/h)²] of the pump.
    lift_m
        h: head at zero flow, depth to water at rest plus outlet pressure [m].
    linear
        b: drawdown per flow [m per m³/h], one over the specific capacity.
    quadratic
        c: friction and well loss [m per (m³/h)²].

    Returns
    -------
    numpy.ndarray
        Q [m³/h]; 0 where the lift is beyond the shutoff head and the pump delivers nothing.
    """
    spare = np.maximum(np.asarray(shutoff_m, dtype=np.float64) - np.asarray(lift_m, dtype=np.float64), 0.0)
    b = np.asarray(linear, dtype=np.float64)
    curve = np.asarray(curvature, dtype=np.float64) + np.asarray(quadratic, dtype=np.float64)
    return np.asarray(2 * spare / (b + np.sqrt(b**2 + 4 * curve * np.maximum(spare, np.finfo(float).tiny))))


def efficiency_at_flow(flow_m3_per_h: ArrayLike, best_flow_m3_per_h: ArrayLike, best_efficiency: ArrayLike) -> Floats:
    """Efficiency away from the best point, the parabola η = η* x (2 − x) with x = Q/Q*.

    It passes through (0, 0) and has its top at (Q*, η*); beyond 2 Q* it is 0. It is the usual
    shape where nothing but the best point is known; use a measured curve where there is one.
    """
    x = np.asarray(flow_m3_per_h, dtype=np.float64) / np.asarray(best_flow_m3_per_h, dtype=np.float64)
    return np.asarray(np.asarray(best_efficiency) * np.maximum(x * (2 - x), 0.0))


def theis_drawdown(
    flow_m3_per_h: ArrayLike,
    transmissivity_m2_per_day: ArrayLike,
    storativity: ArrayLike,
    radius_m: ArrayLike,
    days: ArrayLike,
) -> Floats:
    """Drawdown of a well in a confined aquifer, Theis (1935): s = Q W(u) / (4π T) with u = r² S / (4 T t).

    Parameters
    ----------
    flow_m3_per_h
        Pumping rate Q.
    transmissivity_m2_per_day, storativity
        T and S of the aquifer.
    radius_m, days
        Distance from the well's axis and time since the pump started.

    Returns
    -------
    numpy.ndarray
        s [m]. W is the exponential integral E₁.
    """
    transmissivity = np.asarray(transmissivity_m2_per_day, dtype=np.float64)
    u = np.asarray(radius_m) ** 2 * np.asarray(storativity) / (4 * transmissivity * np.asarray(days))
    return np.asarray(24 * np.asarray(flow_m3_per_h) * exp1(u) / (4 * np.pi * transmissivity))


def cooper_jacob_drawdown(
    flow_m3_per_h: ArrayLike,
    transmissivity_m2_per_day: ArrayLike,
    storativity: ArrayLike,
    radius_m: ArrayLike,
    days: ArrayLike,
) -> Floats:
    """Late-time form of `theis_drawdown`, Cooper and Jacob (1946): s = Q / (4π T) · ln(2.25 T t / (r² S)).

    Within 1 % of Theis where u < 0.03; 0 before the straight line has left the axis.
    """
    transmissivity = np.asarray(transmissivity_m2_per_day, dtype=np.float64)
    inner = 2.25 * transmissivity * np.asarray(days) / (np.asarray(radius_m) ** 2 * np.asarray(storativity))
    return np.asarray(
        24 * np.asarray(flow_m3_per_h) / (4 * np.pi * transmissivity) * np.log(np.maximum(inner, 1.0)), dtype=np.float64
    )
