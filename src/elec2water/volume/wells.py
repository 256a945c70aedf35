"""The volume of every well of a quarter, and what its error is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from elec2water.energy.split import Split
from elec2water.sums import row_sum

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

ADDITIVE = (
    "kwh",
    "imputed_kwh",
    "volume_m3",
    "own_variance_m6",
    "at_level_m3",
    "level_squared_m6",
    "bent_m3",
)
"""What totals are made of; ``bent_m3`` is the converted volume times the shared variance of ln κ."""
METHODS = ("measured", "converted", "imputed", "none")


@dataclass(frozen=True)
class WellVolumes:
    """Arrays over the wells (N,) of a quarter; NaN where a well has no electricity that could be converted.

    ``unread_month`` (N,) tells that a month of the quarter has no electricity and is not in the volume;
    ``converted_m3`` (N, M) is the part that goes through the shared effects, ``own_variance_m6`` the variance of the
    volume that belongs to the well alone, and ``level_squared_m6`` the square of what depends on an unmeasured
    well's level.
    """

    well_id: NDArray[np.object_]
    kwh: Floats
    imputed_kwh: Floats  # of months that nobody read
    volume_m3: Floats
    se_m3: Floats
    lower_m3: Floats
    upper_m3: Floats
    method_codes: NDArray[np.int8]  # places in METHODS
    quality: NDArray[np.object_]
    partly_measured: NDArray[np.bool_]
    unread_month: NDArray[np.bool_]
    sampled: NDArray[np.bool_]
    converted_m3: Floats
    own_variance_m6: Floats
    path_variance: Floats  # of ln κ, from the well's own level and drift
    common_energy_m3: sparse.csr_array  # (N, F), for a standard deviation of each error of electricity in common
    level_squared_m6: Floats
    shared_variance: Floats  # of ln κ, from the shared effects
    resting_kwh: Floats  # of converted months, taken by other loads than the pump

    @cached_property
    def method(self) -> NDArray[np.object_]:
        """How each volume came about, (N,), one of ``METHODS``."""
        return np.array(METHODS, dtype=object)[self.method_codes]

    @cached_property
    def additive(self) -> Floats:
        """What adds up well by well, nothing where it is not known, (N, 7); columns as ``ADDITIVE`` names them."""
        columns = {name: getattr(self, name) for name in ADDITIVE if name != "bent_m3"}
        columns["bent_m3"] = self.through_effects_m3 * self.shared_variance
        out = np.empty((self.well_id.size, len(ADDITIVE)))
        for k, name in enumerate(ADDITIVE):
            out[:, k] = np.where(np.isnan(columns[name]), 0.0, columns[name])
        return out

    @cached_property
    def through_effects_m3(self) -> Floats:
        """The part of each volume that goes through the shared effects, (N,)."""
        return row_sum(self.converted_m3)

    @cached_property
    def at_level_m3(self) -> Floats:
        """The same of wells whose level is not measured, zero for the others, (N,)."""
        return np.where(self.sampled, 0.0, self.through_effects_m3)


@dataclass(frozen=True)
class SharedMeters:
    """Volumes (K,) [m³] of wells that hang on shares of one meter nobody stated.

    Their errors cancel where the wells of a meter are added up.
    """

    split: Split
    volume_m3: Floats

    def cross_variance(self, codes: Ints, n_domains: int) -> Floats:
        """Give what the wells' covariances add to the variance of domains, (G,) m⁶; `codes` (N,) is -1 for none."""
        return self.split.cross_variance(self.volume_m3, codes[self.split.well], n_domains)
