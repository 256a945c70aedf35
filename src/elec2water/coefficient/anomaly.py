"""How unusual a month's electricity of a well is: within a well κ and energy move against each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from elec2water.sums import membership

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_ANOMALY_LIMIT = 2.0


def energy_anomaly(kwh: Floats, annual_kwh: Floats, aquifer: Ints) -> Floats:
    """Give how unusual a well's energy of a month is: ln of it against a twelfth of its year, less its aquifer's mean.

    Within a well κ and energy move against each other: a farmer who needs the same water burns more when κ has
    fallen (trap 3 of METHOD.md). Shapes (N, M), (N,), (N,) → (N, M); NaN where there is no energy.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.log(kwh) - np.log(annual_kwh / 12.0)[:, None]
    known = np.isfinite(log_ratio)
    log_ratio[~known] = np.nan
    of_aquifer = membership(aquifer, int(aquifer.max(initial=0)) + 1)
    total, count = (of_aquifer @ values for values in (np.where(known, log_ratio, 0.0), known.astype(np.float64)))
    log_ratio -= (total / np.maximum(count, 1.0))[aquifer]
    return np.asarray(log_ratio)


def limited_anomaly(anomaly: Floats) -> Floats:
    """Anomaly within ±2 (a factor of seven), zero where unknown: a month of almost no energy is no lever."""
    return np.clip(np.nan_to_num(anomaly), -_ANOMALY_LIMIT, _ANOMALY_LIMIT)
