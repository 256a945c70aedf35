"""The volumes of a quarter: every well, and the total of any domain with its joint error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.coefficient.posterior import Posterior
from elec2water.stats import mixture_quantile
from elec2water.volume.shared_error import Loadings

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

METHODS = ("measured", "converted", "imputed", "none")


@dataclass(frozen=True)
class WellVolumes:
    """Arrays over the wells (N,) of a quarter; NaN where a well has no electricity that could be converted.

    ``converted_m3`` (N, M) is the part that goes through the shared effects, ``own_variance_m6`` the variance of the volume that
    belongs to the well alone, and ``level_squared_m6`` the square of what depends on an unmeasured well's level.
    """

    well_id: NDArray[np.object_]
    kwh: Floats
    volume_m3: Floats
    se_m3: Floats
    lower_m3: Floats
    upper_m3: Floats
    method: NDArray[np.object_]
    quality: NDArray[np.object_]
    partly_measured: NDArray[np.bool_]
    sampled: NDArray[np.bool_]
    converted_m3: Floats
    own_variance_m6: Floats
    level_squared_m6: Floats


@dataclass(frozen=True)
class Totals:
    """Totals of the G domains of one kind: arrays (G,) and, on request, their joint covariance."""

    keys: NDArray[np.object_]
    n_wells: Ints
    n_by_method: Ints  # (G, 4)
    kwh: Floats
    volume_m3: Floats
    se_m3: Floats
    lower_m3: Floats
    upper_m3: Floats
    sums: Floats  # (G, p)
    own_m6: Floats


@dataclass(frozen=True)
class Volume:
    """Volumes of a quarter."""

    quarter: str
    confidence: float
    wells: WellVolumes
    loadings: Loadings
    posterior: Posterior
    shared_meter_rel_u: float

    def total(self, labels: Sequence[object] | NDArray[np.object_] | None = None) -> Totals:
        """Totals with their joint error, one computation for all domains.

        Parameters
        ----------
        labels : (N,), optional
            The domain of each well; blank (NaN or None) for none. The whole county if left out.
        """
        n = self.wells.well_id.size
        series = pd.Series(np.zeros(n) if labels is None else np.asarray(labels, dtype=object))
        codes, keys = pd.factorize(series, sort=True, use_na_sentinel=True)
        return domain_totals(self, np.asarray(codes, dtype=np.intp), np.asarray(keys, dtype=object))

    def covariance(self, totals: Totals) -> Floats:
        """Joint covariance of the totals of one kind, (G, G) m⁶."""
        shared = totals.sums @ self.posterior.covariance @ totals.sums.T
        shared += self.shared_meter_rel_u**2 * np.outer(totals.volume_m3, totals.volume_m3)
        return np.asarray(shared + np.diag(totals.own_m6))

    @cached_property
    def county(self) -> Totals:
        """The total of all wells."""
        return self.total()


def domain_totals(volume: Volume, codes: Ints, keys: NDArray[np.object_]) -> Totals:
    """Sum wells by domain; the closed form of METHOD.md, trap 1.

    At each node k of the variances the logarithm of a total is Gaussian with variance ``g'C_k g`` (shared) plus what the wells own
    plus the water meters' common error; the interval is the mixture's.
    """
    wells, posterior, G = volume.wells, volume.posterior, keys.size
    known = np.where(np.isfinite(wells.volume_m3), codes, -1)
    group = np.where(known < 0, G, known)

    def add(values: Floats) -> Floats:
        return np.bincount(group, weights=np.nan_to_num(values), minlength=G + 1)[:G]

    total = add(wells.volume_m3)
    safe = np.where(total > 0, total, 1.0)
    sums = volume.loadings.domain_sums(wells.converted_m3, known, G)
    g = sums / safe[:, None]
    own = add(wells.own_variance_m6)
    level = posterior.sd[:, 0] ** 2 + posterior.sd[:, 1] ** 2
    typical = float(posterior.weight @ level)
    level_change = np.expm1(level) - float(np.expm1(typical))
    own_k = np.maximum(own + level_change[:, None] * add(wells.level_squared_m6), 0.0) / safe**2
    shared_k = np.einsum("gi,kij,gj->kg", g, posterior.covariances, g, optimize=True)
    converted = add(np.where(wells.sampled, 0.0, wells.converted_m3.sum(axis=1))) / safe
    shift = (posterior.means - posterior.mean) @ g.T + 0.5 * (level - typical)[:, None] * converted
    log_variance = np.log1p(own_k) + shared_k + volume.shared_meter_rel_u**2
    centre = shift - 0.5 * log_variance
    sd = np.sqrt(log_variance)
    alpha = 0.5 * (1.0 - volume.confidence)
    lower, upper = (total * np.exp(mixture_quantile(a, centre, sd, posterior.weight)) for a in (alpha, 1.0 - alpha))
    mean_k = np.exp(shift)
    second = posterior.weight @ (mean_k**2 * np.exp(log_variance))
    variance = second - (posterior.weight @ mean_k) ** 2
    member = np.where(codes < 0, G, codes)
    by_method = np.array(
        [np.bincount(member[wells.method == m], minlength=G + 1)[:G] for m in METHODS], dtype=np.intp
    ).T
    return Totals(
        keys,
        np.bincount(member, minlength=G + 1)[:G],
        by_method,
        add(wells.kwh),
        total,
        total * np.sqrt(np.maximum(variance, 0.0)),
        lower,
        upper,
        sums,
        own,
    )
