"""What is believed of every well's coefficient before it is measured: the anticipated mean and spread of κ.

The spread is that of a well about what the sample will show of its kind: the well's own level and drift, its township,
and, once slopes are estimated, the error of those that the sample is not balanced on. What all wells share (the level
of the county, of an aquifer or a method, the slopes on depth, energy and area) is left out, for a balanced sample tells
it: the error that such a slope makes of the sample is that which it makes of the frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.coefficient.columns import well_columns
from elec2water.coefficient.delivery import delivery_head, published_heads
from elec2water.coefficient.features import Static, learn_features
from elec2water.coefficient.posterior import SD_PRIORS
from elec2water.coefficient.result import Coefficient
from elec2water.coefficient.shared import Layout
from elec2water.energy import MonthlyEnergy
from elec2water.errors import UsageError
from elec2water.keys import Keys

Floats: TypeAlias = NDArray[np.float64]

PUBLISHED = "published priors"
CONSTANT = "constant"
_ANY_MONTH = np.array(["2000-01"], dtype="datetime64[M]")
_MEASURED_IN = 2000.0
_DIGITS = 6
_WEAR = (-0.02, 0.015)
_ENERGY = ("log_energy", "log_energy_per_mu")
_LEFT_TO_THE_SAMPLE = ("intercept", "log_pump_depth", "log_area", *_ENERGY)
"""The sample is balanced on these: see :mod:`~.drawing`."""


@dataclass(frozen=True)
class Anticipated:
    """Anticipated coefficient of every well.

    Attributes
    ----------
    coefficient : (N,) array
        Mean of κ [m³/kWh].
    log_sd : (N,) array
        Standard deviation of ln κ of the well about its kind.
    source : str
        Where it comes from: a release, the pairs at hand, the published priors, a constant.
    """

    coefficient: Floats
    log_sd: Floats
    source: str

    @property
    def cv(self) -> Floats:
        """Coefficient of variation of each well's κ (N,)."""
        return np.sqrt(np.expm1(self.log_sd**2))

    def with_spread(self, log_sd: float) -> Anticipated:
        """Give every well the same spread.

        Raises
        ------
        UsageError
            If it is not positive.
        """
        if not 0 < log_sd < np.inf:
            raise UsageError(
                f"design: anticipated_log_sd must be positive, not {log_sd}; 0.2 to 0.4 within strata is usual"
            )
        return Anticipated(self.coefficient, np.full(self.log_sd.size, float(log_sd)), self.source)


def constant(n: int, *, log_sd: float = 0.35) -> Anticipated:
    """All wells alike: sizes are then the energies.

    Parameters
    ----------
    n : int
        Number of wells.
    log_sd : float
        Standard deviation of ln κ within strata; 0.2–0.4 has been published.
    """
    return Anticipated(np.ones(n), np.full(n, log_sd), CONSTANT).with_spread(log_sd)


def published(wells: pd.DataFrame, annual_kwh: Floats) -> Anticipated:
    """Anticipate κ from the published priors alone: a county that has measured nothing yet.

    The physics sets the level and ``data/priors.csv`` the slopes on depth, energy, area and the rest, with the source
    of each. The spread of wells within aquifer × depth × method has been published at 0.2–0.4, from single tests: what
    slopes, townships and the days of the tests add is in it. Part of it shows in the energy that a well uses for its
    land: with a slope b = −σ²/(σ² + var ln demand) of ln κ on it, σ² (1 + b) is left (METHOD.md, trap 3).

    Parameters
    ----------
    wells : DataFrame
        The registry.
    annual_kwh : (N,) array
        Energy of the last year; NaN where not known.

    Returns
    -------
    Anticipated
    """
    known = np.where(annual_kwh > 0, annual_kwh, np.nan)
    delivery = published_heads()
    columns = well_columns(
        wells,
        Keys.of(np.full(len(wells), "", dtype=object)),
        annual_kwh=known,
        reference_year=_MEASURED_IN,
        delivery=delivery_head(wells, delivery),
    )
    spec = learn_features(
        columns, weight=np.nan_to_num(known), reference_year=_MEASURED_IN, wear=_WEAR, delivery=delivery
    )
    layout = spec.layout(_ANY_MONTH)
    sd = {prior.name: prior.median for prior in SD_PRIORS}
    prior = layout.prior(sd)
    left = sd["level"] ** 2 * _not_told_by_energy(wells, known, layout, prior.mean)
    spread: dict[str, float | Floats] = {"level": left, "drift": 0.0, "township": 0.0}
    return _anticipate(
        spec.static(columns), layout, prior.mean, np.zeros((layout.size, layout.size)), spread, PUBLISHED
    )


def _not_told_by_energy(wells: pd.DataFrame, energy: Floats, layout: Layout, mean: Floats) -> Floats:
    """Share of the variance of ln κ that is left when the energy is known, and the area where it is (N,): 1 + b."""
    slope = dict(zip((effect.name for effect in layout.static), mean, strict=False))
    area = wells.get("irrigated_area_mu", pd.Series(np.nan, index=wells.index))
    has_area = area.to_numpy(dtype=np.float64, na_value=np.nan) > 0
    told = slope.get("log_energy", 0.0) + has_area * slope.get("log_energy_per_mu", 0.0)
    return np.where(np.isfinite(energy), 1.0 + told, 1.0)


def learned(
    coefficient: Coefficient,
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None,
    energy: MonthlyEnergy,
    *,
    source: str,
) -> Anticipated:
    """Anticipate κ from a posterior: what the sample wells so far say of all wells.

    What a sample well measured of itself is left aside: the next network is planned for wells as they come.

    Parameters
    ----------
    coefficient : Coefficient
    wells : DataFrame
        The registry, N wells.
    water_levels : DataFrame or None
    energy : MonthlyEnergy
    source : str
        Name of the posterior, kept with the design.

    Returns
    -------
    Anticipated
    """
    months = energy.months[-1:]
    context = coefficient.context(wells, water_levels, energy, months)
    posterior = coefficient.posterior
    return _anticipate(
        context.static,
        posterior.layout,
        posterior.mean,
        posterior.covariance,
        posterior.variance,
        source,
    )


def _anticipate(
    static: Static, layout: Layout, mean: Floats, covariance: Floats, sd2: Mapping[str, float | Floats], source: str
) -> Anticipated:
    """Add up what a well always has; effects new to the layout have their prior."""
    q = static.dense.shape[1]
    told = np.array([effect.name not in _LEFT_TO_THE_SAMPLE for effect in layout.static[:q]])
    slopes = static.dense * told
    log_mean = static.dense @ mean[:q]
    own = np.zeros(log_mean.size) + sd2["level"] + sd2["drift"]
    own += np.einsum("ij,ij->i", slopes @ covariance[:q, :q], slopes) + static.blank @ mean[:q] ** 2
    for k, factor in enumerate(layout.factors):
        start = layout.factor_start(factor.name)
        part = slice(start, start + len(factor.levels))
        code = static.codes[:, k]
        log_mean += np.append(mean[part], 0.0)[code]
        if factor.name == "township":
            own += np.append(np.diag(covariance)[part], sd2["township"])[code]
            together = np.column_stack([covariance[:q, part], np.zeros(q)]).T
            own += 2.0 * np.einsum("ij,ij->i", slopes, together[code])
    # Sums over the registry differ in their last digits with the order of its rows; a draw must not.
    kappa = np.asarray(np.exp(log_mean + 0.5 * own).round(_DIGITS), dtype=np.float64)
    return Anticipated(kappa, np.asarray(np.sqrt(own).round(_DIGITS), dtype=np.float64), source)
