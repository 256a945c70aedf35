"""Totals, means and ratios of a stratified sample, for many domains at once."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elec2water.errors import UsageError
from elec2water.survey.linearised import Domains, Estimate, SampleDesign

Floats: TypeAlias = NDArray[np.float64]


def totals(design: SampleDesign, y: ArrayLike, domains: Domains | None = None) -> Estimate:
    """Horvitz-Thompson totals Σ w y by domain.

    Parameters
    ----------
    design : SampleDesign
    y : (n,) array
    domains : Domains, optional
        All units are one domain by default.

    Returns
    -------
    Estimate
        With standard errors of the unconditional kind: the number of sample units in a domain is random.
    """
    domains = domains or Domains.of(design)
    expanded = design.weights * _values(design, y, "y")
    variance = design.variance_by_domain(expanded, domains)
    return Estimate(domains.sums(expanded), np.sqrt(variance), domains.count())


def ratios(design: SampleDesign, y: ArrayLike, x: ArrayLike, domains: Domains | None = None) -> Estimate:
    """Estimate ratios Σ w y / Σ w x by domain (Cochran 1977, eq. 6.44 and section 6.12).

    Parameters
    ----------
    design : SampleDesign
    y, x : (n,) array
    domains : Domains, optional

    Returns
    -------
    Estimate
        NaN where a domain has no unit with x.
    """
    domains = domains or Domains.of(design)
    wy, wx = design.weights * _values(design, y, "y"), design.weights * _values(design, x, "x")
    below = domains.sums(wx)
    scale = np.where(below != 0, below, np.nan)
    ratio = domains.sums(wy) / scale
    influence = np.where(np.isnan(ratio[domains.codes]), 0.0, wy - ratio[domains.codes] * wx)
    se = np.sqrt(design.variance_by_domain(influence, domains)) / np.abs(scale)
    return Estimate(ratio, se, domains.count())


def means(design: SampleDesign, y: ArrayLike, domains: Domains | None = None) -> Estimate:
    """Means Σ w y / Σ w by domain: the ratio to a constant.

    Parameters
    ----------
    design : SampleDesign
    y : (n,) array
    domains : Domains, optional

    Returns
    -------
    Estimate
    """
    return ratios(design, y, np.ones(design.size), domains)


def combined_ratio_totals(design: SampleDesign, y: ArrayLike, x: ArrayLike, x_totals: ArrayLike) -> Estimate:
    """Totals X_d · Σ w y / Σ w x: one ratio for all, applied to what each domain is known to hold of x.

    Parameters
    ----------
    design : SampleDesign
    y, x : (n,) array
    x_totals : (D,) array
        Known totals of x.

    Returns
    -------
    Estimate
        `n_sample` is that of the whole sample, which is behind every total.
    """
    known = np.atleast_1d(np.asarray(x_totals, dtype=np.float64))
    ratio = ratios(design, y, x)
    return Estimate(known * ratio.estimate, np.abs(known) * ratio.se, np.full(known.size, design.size))


def separate_ratio_totals(design: SampleDesign, y: ArrayLike, x: ArrayLike, x_totals: ArrayLike) -> Estimate:
    """Totals Σ_h X_hd R̂_h: the ratio of every stratum, applied to what each domain is known to hold of it.

    With one domain this is the separate ratio estimator (Cochran 1977, eq. 6.43). For smaller domains it is synthetic:
    wells of a stratum count as alike wherever they are, and domains that lean on one stratum share its error.

    Parameters
    ----------
    design : SampleDesign
    y, x : (n,) array
    x_totals : (H, D) or (H,) array
        Known totals of x by stratum, in the sorted order of the strata, and domain.

    Returns
    -------
    Estimate

    Raises
    ------
    UsageError
        If `x_totals` has not a row a stratum, or a stratum with a known total has no x in the sample.
    """
    known = np.asarray(x_totals, dtype=np.float64)
    known = known[:, None] if known.ndim == 1 else known
    if known.shape[0] != design.n_strata:
        raise UsageError(f"survey: x_totals has {known.shape[0]} rows, but the sample has {design.n_strata} strata")
    strata = Domains.of(design, design.strata)
    ratio = ratios(design, y, x, strata)
    lost = np.isnan(ratio.estimate) & (known != 0).any(axis=1)
    if lost.any():
        raise UsageError(f"survey: the sample has no x in {lost.sum()} strata that hold some; collapse them first")
    coefficient = np.nan_to_num(ratio.estimate)
    below = strata.sums(design.weights * np.asarray(x, dtype=np.float64))
    residual = design.weights * (np.asarray(y) - coefficient[design.strata] * np.asarray(x))
    scaled = residual / np.where(below != 0, below, 1.0)[design.strata]
    variance = _variance_over_strata(design, scaled, known)
    return Estimate(coefficient @ known, np.sqrt(variance), np.full(known.shape[1], design.size))


def _variance_over_strata(design: SampleDesign, influence: Floats, loading: Floats) -> Floats:
    """Variance of Σ_h l_hd Σ_{i∈h} u_i (D,); strata are independent, save lonely ones, centred at one mean."""
    if design.centred and design.lonely.any():
        spread = loading[design.strata] * influence[:, None]
        variance: Floats = (spread * design.apply(spread)).sum(axis=0)
        return np.maximum(variance, 0.0)
    by_stratum = design.variance_by_domain(influence, Domains.of(design, design.strata))
    return by_stratum @ loading**2


def _values(design: SampleDesign, values: ArrayLike, name: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (design.size,):
        raise UsageError(f"survey: {name} has shape {array.shape}, expected ({design.size},), one a sample unit")
    if not np.isfinite(array).all():
        raise UsageError(f"survey: {name} is not finite for {int((~np.isfinite(array)).sum())} units; leave them out")
    return array
