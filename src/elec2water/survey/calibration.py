"""Calibration and generalised regression (GREG): sample weights that reproduce what is known of the population."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elec2water.errors import UsageError
from elec2water.survey.linearised import Domains, Estimate, SampleDesign, sparse_plus_low_rank_variance

Floats: TypeAlias = NDArray[np.float64]

_MAX_ITERATIONS = 100
_LEAST_LEFT_OUT = 0.5


@dataclass(frozen=True)
class Calibration:
    """Calibrated weights.

    Attributes
    ----------
    weights : (n,) array
        Design weights times `g`.
    g : (n,) array
        Adjustment of each unit.
    auxiliary : (n, P) array
        What was calibrated on.
    q : (n,) array
        Weight of each unit in the regression behind it, 1/σ² of its residual.
    inverse : (P, P) array
        (Σ w q x x')⁻¹, generalised where columns are collinear.
    """

    weights: Floats
    g: Floats
    auxiliary: Floats
    q: Floats
    inverse: Floats


def calibrate(
    design: SampleDesign,
    auxiliary: ArrayLike,
    known: ArrayLike,
    *,
    q: ArrayLike | None = None,
    method: Literal["linear", "raking"] = "linear",
) -> Calibration:
    """Calibrate weights on known totals (Deville and Särndal 1992).

    Linear: g = 1 + q x'λ, which makes the calibrated total the GREG estimator. Raking: g = exp(q x'λ), always positive.

    Parameters
    ----------
    design : SampleDesign
    auxiliary : (n, P) array
        Values of the auxiliary variables in the sample.
    known : (P,) array
        Their population totals.
    q : (n,) array, optional
        1/σ² of the regression residuals; all 1 by default.
    method : {"linear", "raking"}

    Returns
    -------
    Calibration

    Raises
    ------
    UsageError
        If shapes differ, or no weights of this form reproduce the totals.

    References
    ----------
    Deville, J.-C. and Särndal, C.-E. (1992), Calibration estimators in survey sampling, JASA 87, 376-382.
    """
    x, weight_of_residual = _auxiliary(design, auxiliary, q)
    target = np.asarray(known, dtype=np.float64)
    if target.shape != (x.shape[1],):
        raise UsageError(f"survey: {x.shape[1]} auxiliary variables, but known totals of shape {target.shape}")
    inverse = _inverse(x, design.weights * weight_of_residual)
    if method == "linear":
        g = 1.0 + weight_of_residual * (x @ (inverse @ (target - design.weights @ x)))
    else:
        g = _rake(design.weights, x, target, weight_of_residual)
    _check_reproduced((design.weights * g) @ x, target, np.abs(design.weights @ np.abs(x)))
    return Calibration(design.weights * g, g, x, weight_of_residual, inverse)


def calibrated_totals(
    design: SampleDesign, calibration: Calibration, y: ArrayLike, domains: Domains | None = None
) -> Estimate:
    """Totals Σ g w y by domain, with calibrated weights.

    The standard error is that of g w e, with e the residuals of the domain's y (zero outside the domain) on the
    auxiliaries (Särndal, Swensson and Wretman 1992, section 6.6).

    Parameters
    ----------
    design : SampleDesign
    calibration : Calibration
    y : (n,) array
    domains : Domains, optional

    Returns
    -------
    Estimate
    """
    domains = domains or Domains.of(design)
    values = np.asarray(y, dtype=np.float64)
    x, own = calibration.auxiliary, calibration.weights * values
    moments = domains.sums((design.weights * calibration.q * values)[:, None] * x)
    coefficients = moments @ calibration.inverse
    shared = -calibration.weights[:, None] * x
    variance = sparse_plus_low_rank_variance(design, domains, own, shared, coefficients)
    return Estimate(domains.sums(own), np.sqrt(variance), domains.count())


def greg_totals(
    design: SampleDesign,
    y: ArrayLike,
    auxiliary: ArrayLike,
    known: ArrayLike,
    domains: Domains | None = None,
    *,
    q: ArrayLike | None = None,
    leverage: bool = False,
) -> Estimate:
    """Model-assisted totals Σ_U ŷ + Σ_s w (y − ŷ) by domain, one regression for all (Särndal et al. 1992, eq. 10.3.6).

    The fitted values carry a domain, its own sample corrects them; domains add up to the total of all, which is the
    calibrated one. The standard error is that of w e (1(i∈d) + q x'(Σ w q x x')⁻¹(X_d − X̂_d)), so that the error of the
    regression is in it.

    Parameters
    ----------
    design : SampleDesign
    y : (n,) array
    auxiliary : (n, P) array
    known : (D, P) or (P,) array
        Totals of the auxiliaries in the population of each domain.
    domains : Domains, optional
    q : (n,) array, optional
        1/σ² of the regression residuals; all 1 by default.
    leverage : bool
        Whether the standard error takes the residuals e / (1 − h) of wells left out, h = w q x'(Σ w q x x')⁻¹x
        (Valliant 2002, Survey Methodology 28, 103-114): a regression on few wells fits its own wells too well.
        R ``survey`` and the textbooks do not.

    Returns
    -------
    Estimate
        A domain without sample units has a standard error of the regression alone: a lower bound.
    """
    domains = domains or Domains.of(design)
    x, weight_of_residual = _auxiliary(design, auxiliary, q)
    population = np.atleast_2d(np.asarray(known, dtype=np.float64))
    if population.shape != (domains.size, x.shape[1]):
        raise UsageError(
            f"survey: known totals have shape {population.shape}, expected ({domains.size}, {x.shape[1]}): domains × "
            "auxiliaries"
        )
    inverse = _inverse(x, design.weights * weight_of_residual)
    values = np.asarray(y, dtype=np.float64)
    beta = inverse @ ((design.weights * weight_of_residual * values) @ x)
    residual = design.weights * (values - x @ beta)
    gap = population - domains.sums(design.weights[:, None] * x)
    unseen = residual / _left_out(x, inverse, design.weights * weight_of_residual) if leverage else residual
    shared = (unseen * weight_of_residual)[:, None] * (x @ inverse)
    variance = sparse_plus_low_rank_variance(design, domains, unseen, shared, gap)
    return Estimate(population @ beta + domains.sums(residual), np.sqrt(variance), domains.count())


def _left_out(x: Floats, inverse: Floats, weight: Floats) -> Floats:
    """One less the leverage of each unit, a half at the least: no residual is more than doubled.

    A unit that alone tells a coefficient has leverage 1 and a residual of zero, which no divisor makes an error of.
    """
    left_out: Floats = np.maximum(1.0 - weight * np.einsum("np,pq,nq->n", x, inverse, x), _LEAST_LEFT_OUT)
    return left_out


def _auxiliary(design: SampleDesign, auxiliary: ArrayLike, q: ArrayLike | None) -> tuple[Floats, Floats]:
    x = np.asarray(auxiliary, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    weight = np.ones(design.size) if q is None else np.asarray(q, dtype=np.float64)
    if x.shape[0] != design.size or weight.shape != (design.size,):
        raise UsageError(f"survey: auxiliary {x.shape} and q {weight.shape} need a row a sample unit, {design.size}")
    if not (np.isfinite(x).all() and np.isfinite(weight).all() and (weight >= 0).all()):
        raise UsageError("survey: auxiliary and q must be finite, and q not negative")
    return x, weight


def _inverse(x: Floats, weight: Floats) -> Floats:
    """Generalised inverse of Σ w x x', its columns first brought to one scale so that kWh and counts mix well."""
    root = np.sqrt(weight)[:, None] * x
    norm = np.linalg.norm(root, axis=0)
    scale: Floats = np.where(norm > 0, norm, 1.0)
    scaled = root / scale
    inverse: Floats = np.asarray(np.linalg.pinv(scaled.T @ scaled, rcond=1e-10, hermitian=True), dtype=np.float64)
    return inverse / (scale[:, None] * scale)


def _rake(weights: Floats, x: Floats, target: Floats, q: Floats) -> Floats:
    """Newton's method on Σ w exp(q x'λ) x = t, with steps halved while they do not help."""
    multiplier = np.zeros(x.shape[1])
    size = np.abs(weights @ np.abs(x)) + np.abs(target)
    g = np.ones(x.shape[0])
    for _ in range(_MAX_ITERATIONS):
        miss = target - (weights * g) @ x
        if np.max(np.abs(miss) / size) < 1e-14:
            break
        step = _inverse(x, weights * q * g) @ miss
        while np.max(np.abs(q * (x @ step))) > 2.0:
            step = step / 2.0
        multiplier = multiplier + step
        g = np.exp(q * (x @ multiplier))
    return g


def _check_reproduced(reached: Floats, target: Floats, size: Floats) -> None:
    miss = np.abs(reached - target) > 1e-6 * (size + np.abs(target))
    if miss.any():
        k = int(np.flatnonzero(miss)[0])
        raise UsageError(
            f"survey: no calibrated weights give the known total of auxiliary {k}: {target[k]:.10g}, reached "
            f"{reached[k]:.10g}; leave out auxiliaries that the sample does not vary in"
        )
