"""How unusual a month's electricity of a well is: within a well κ and energy move against each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from elec2water.sums import membership

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_ANOMALY_LIMIT = 2.0
_AT_ONCE = 1 << 14
"""Wells that are looked at together: what is made of them on the way stays in the cache of the processor."""


def energy_anomaly(kwh: Floats, annual_kwh: Floats, aquifer: Ints) -> Floats:
    """Give how unusual a well's energy of a month is: ln of it against a twelfth of its year, less its aquifer's mean.

    Within a well κ and energy move against each other: a farmer who needs the same water burns more when κ has
    fallen (trap 3 of METHOD.md). The mean is weighted by the energy of the month, so that it is the month of the wells
    that pump: idle ones would have each of these stand out, and what the effect is unsure of would be that of totals.
    Shapes (N, M), (N,), (N,) → (N, M); NaN where there is no energy.
    """
    log_ratio = np.empty(kwh.shape)
    total, weight = np.zeros((2, int(aquifer.max(initial=0)) + 1, kwh.shape[1]))
    parts = [slice(at, at + _AT_ONCE) for at in range(0, len(kwh), _AT_ONCE)]
    for part in parts:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(kwh[part]) - np.log(annual_kwh[part] / 12.0)[:, None]
        known = np.isfinite(ratio)
        of_aquifer = membership(aquifer[part], len(total))
        used = np.where(known, kwh[part], 0.0)
        total += of_aquifer @ (used * np.where(known, ratio, 0.0))
        weight += of_aquifer @ used
        log_ratio[part] = np.where(known, ratio, np.nan)
    mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    for part in parts:
        log_ratio[part] -= mean[aquifer[part]]
    return log_ratio


def limited_anomaly(anomaly: Floats) -> Floats:
    """Anomaly within ±2 (a factor of seven), zero where unknown: a month of almost no energy is no lever."""
    return np.clip(np.nan_to_num(anomaly), -_ANOMALY_LIMIT, _ANOMALY_LIMIT)
