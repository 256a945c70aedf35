"""Data of the mixed-model reference answers: log coefficients of wells in 60 strata over 12 months, 10 % missing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

N_STRATA, N_MONTHS, MISSING = 60, 12, 0.10
SD_STRATUM, SD_WELL, SD_ERROR = 0.15, 0.20, 0.10


class Nested(NamedTuple):
    """Arguments of ``fit_nested``: ``X`` holds the intercept, sine and cosine of the month, and log head."""

    y: Floats
    X: Floats
    well: Ints
    stratum: Ints  # of the wells


def generate(n_wells: int, seed: int = 1, n_strata: int = N_STRATA) -> Nested:
    """Draw them in the order that the reference answers depend on."""
    rng = np.random.default_rng(seed)
    stratum = np.sort(rng.integers(0, n_strata, n_wells))
    stratum[:n_strata] = np.arange(n_strata)
    stratum = np.sort(stratum)
    of_stratum, of_well = rng.normal(0, SD_STRATUM, n_strata), rng.normal(0, SD_WELL, n_wells)
    n_rows = n_wells * N_MONTHS
    well, month = np.repeat(np.arange(n_wells), N_MONTHS), np.tile(np.arange(N_MONTHS), n_wells)
    head = np.exp(rng.normal(np.log(60), 0.35, n_wells))
    dlh = np.repeat(np.log(head / 60), N_MONTHS) + rng.normal(0, 0.05, n_rows)
    sn, cs = np.sin(2 * np.pi * month / 12), np.cos(2 * np.pi * month / 12)
    error = rng.normal(0, SD_ERROR, n_rows)
    y = -0.10 + 0.04 * sn - 0.03 * cs + 0.08 * dlh + of_stratum[stratum[well]] + of_well[well] + error
    keep = rng.random(n_rows) > MISSING
    X = np.column_stack([np.ones_like(y), sn, cs, dlh])
    return Nested(y[keep], X[keep], well[keep], stratum)
