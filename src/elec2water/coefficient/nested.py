"""Nested random intercepts by restricted maximum likelihood, in one pass over the rows.

The model is ``y = Xβ + z[stratum] + u[well] + ε`` with independent normal intercepts of strata and of the wells in
them. Of the rows it needs only what an analysis of variance needs: the scatter within wells, and the mean and number of
rows of every well (:mod:`elec2water.coefficient.reml`). The criterion is minimised over the ratios of the standard
deviations of strata and wells to that of the error, in which a variance of zero is an ordinary stationary point (Bates,
Mächler, Bolker & Walker 2015, Journal of Statistical Software 67(1), section 3), by Newton's method with exact
derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from elec2water.coefficient.reml import (
    Criterion,
    Floats,
    Ints,
    Rotation,
    Statistics,
    cholesky,
    criterion,
    decompose,
    within_strata,
)

Strata: TypeAlias = Literal["random", "fixed"]

EXACT = 1e-13  # share of the variance of y left within wells, below which the error counts as none
DECREASE = 1e-10  # a Newton step expected to lower the deviance by less ends the search
NOISE = 1e-13  # relative rounding error of the deviance
ARMIJO = 0.1  # least share of the decrease a step promises that it must bring
VANISHED = 1e-4  # ratio of standard deviations below which zero is tried
DOWNHILL = 1e-6  # slope of the deviance in a ratio of variances at zero, from which the search starts again
MAX_ITERATIONS = 200
START_RANGE = (0.01, 100.0)  # of the ratios of variances the search starts from


@dataclass(frozen=True)
class NestedFit:
    """A model of nested random intercepts, fitted by restricted maximum likelihood.

    Attributes
    ----------
    beta : numpy.ndarray
        (p,) coefficients of the columns of X, in units of y.
    beta_covariance : numpy.ndarray
        (p, p) their covariance, the variances taken as known.
    stratum_effect : numpy.ndarray
        (S,) best linear predictions of z, or the estimates where the strata are fixed; NaN for a stratum without rows.
    sd_stratum, sd_well, sd_error : float
        Standard deviations in units of y; ``sd_stratum`` is NaN where the strata are fixed.
    log_likelihood : float
        Restricted log-likelihood with the constant of ``lme4``.
    n_iterations : int
        Newton steps taken.
    stratum_identified, well_identified : bool
        Whether the data can tell the standard deviation from the others at all. Where not, it is 0 and what it may hold
        is part of the level below: of ``sd_well`` with one well a stratum, of ``sd_error`` with one row a well.
    """

    beta: Floats
    beta_covariance: Floats
    stratum_effect: Floats
    sd_stratum: float
    sd_well: float
    sd_error: float
    log_likelihood: float
    n_iterations: int
    stratum_identified: bool
    well_identified: bool


def fit_nested(
    y: Floats, X: Floats, well: Ints, stratum: Ints | None = None, *, strata: Strata = "random"
) -> NestedFit:
    """Fit ``y = Xβ + z[stratum] + u[well] + ε`` by restricted maximum likelihood.

    Parameters
    ----------
    y : numpy.ndarray
        (R,) response.
    X : numpy.ndarray
        (R, p) fixed effects, the intercept among them where one is wanted; of full column rank.
    well : numpy.ndarray
        (R,) integer codes 0..W-1 of the wells, in any order.
    stratum : numpy.ndarray, optional
        (W,) integer codes 0..S-1 of the strata of the wells; without it the wells are the only random effects.
    strata : {"random", "fixed"}
        Whether the strata have a random intercept or one fixed coefficient each; with ``fixed`` X must not hold an
        intercept. The likelihood is that of S dummy columns, which are never written out.

    Returns
    -------
    NestedFit
        With fewer than two strata, or one well in each, ``sd_stratum`` is 0 and not identified; with one row in
        each well, or a single well, ``sd_well``. Where X spans the strata, the likelihood says nothing of
        ``sd_stratum``, and its value means nothing.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, a code is out of range, the columns of X are linearly dependent,
        there are no more rows than coefficients, or y is fitted exactly within wells.
    RuntimeError
        If the search does not converge.
    """
    if strata == "fixed" and stratum is None:
        raise ValueError("strata='fixed' needs stratum, a code for every well; none was given")
    y, X, well = _checked(y, X, well)
    labels = _checked_strata(well, stratum)
    fixed = strata == "fixed"
    rotation = Rotation.of(y, X)
    data = decompose(rotation.apply(y, X), well, labels)
    _refuse_degenerate(data, float(y @ y), fixed=fixed)
    free = _identified(data, fixed=fixed, given=stratum is not None)
    theta, best, n_iterations = _minimise(data, free, fixed=fixed)
    sd_stratum, sd_well = best.sigma * theta
    effect = np.full(0 if stratum is None else labels.max() + 1, np.nan)
    if stratum is not None:
        effect[data.strata] = best.stratum_effect
    return NestedFit(
        beta=rotation.beta + rotation.inverse @ best.beta,
        beta_covariance=best.sigma**2 * rotation.inverse @ best.inverse @ rotation.inverse.T,
        stratum_effect=effect,
        sd_stratum=np.nan if fixed else float(sd_stratum),
        sd_well=float(sd_well),
        sd_error=best.sigma,
        log_likelihood=-0.5 * (best.deviance + rotation.log_det),
        n_iterations=n_iterations,
        stratum_identified=bool(free[0]),
        well_identified=bool(free[1]),
    )


def _minimise(data: Statistics, free: NDArray[np.bool_], *, fixed: bool) -> tuple[Floats, Criterion, int]:
    """Minimise the deviance over ``θ = (√a, √b)`` by Newton's method with steps halved until they descend."""
    theta = np.where(free, np.sqrt(_start(data)), 0.0)
    here = criterion(data, theta**2, fixed=fixed)
    for iteration in range(MAX_ITERATIONS):
        step, decrease = _newton_step(here, theta, free)
        tolerance = NOISE * abs(here.deviance)
        there = criterion(data, (theta + step) ** 2, fixed=fixed)
        while decrease > DECREASE and there.deviance > here.deviance + tolerance - ARMIJO * decrease:
            step /= 2.0
            decrease /= 2.0
            there = criterion(data, (theta + step) ** 2, fixed=fixed)
        theta, here = np.abs(theta + step), there
        if decrease <= DECREASE:
            theta, here = _to_the_boundary(data, theta, here, fixed=fixed)
            downhill = free & (theta == 0.0) & (here.gradient < -DOWNHILL)
            if not downhill.any():
                return theta, here, iteration + 1
            theta[downhill] = np.sqrt(START_RANGE[0])
            here = criterion(data, theta**2, fixed=fixed)
    raise RuntimeError(
        f"no convergence after {MAX_ITERATIONS} Newton steps, at ratios of standard deviations to the error {theta}"
        " (strata, wells); check y for values that dwarf all others"
    )


def _start(data: Statistics) -> Floats:
    """Ratios (a, b) from mean squares, the fixed effects and unequal numbers of rows passed over."""
    if data.n_rows == data.n_wells:
        return np.ones(2)
    error = data.within[-1, -1] / (data.n_rows - data.n_wells)
    wells = data.scatter[:, -1, -1].sum() / max(data.n_wells - data.cell_wells.size, 1)
    ratios: Floats = np.array([np.var(data.cell_mean[-1]), wells]) / error
    return ratios.clip(*START_RANGE)


def _newton_step(at: Criterion, theta: Floats, free: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Step in θ, downhill whatever the curvature and at most twice the length of θ, and the decrease it promises."""
    gradient = np.where(free, 2.0 * theta * at.gradient, 0.0)
    hessian = np.diag(2.0 * at.gradient) + 4.0 * np.outer(theta, theta) * at.hessian
    hessian[~free] = 0.0
    hessian[:, ~free] = 0.0
    curvature, axes = np.linalg.eigh(hessian)
    curvature = np.abs(curvature)
    curvature = np.maximum(curvature, 1e-9 * curvature.max() + np.finfo(float).tiny)
    step = -axes @ (axes.T @ gradient / curvature)
    length = np.linalg.norm(step)
    if length > (longest := 2.0 * np.linalg.norm(theta)):
        step *= longest / length
    return step, -0.5 * float(gradient @ step)


def _to_the_boundary(data: Statistics, theta: Floats, here: Criterion, *, fixed: bool) -> tuple[Floats, Criterion]:
    """Set to zero what has all but vanished, where the deviance is no higher there."""
    for index in np.flatnonzero((theta > 0.0) & (theta < VANISHED)):
        trial = theta.copy()
        trial[index] = 0.0
        at_zero = criterion(data, trial**2, fixed=fixed)
        if at_zero.deviance <= here.deviance + NOISE * abs(here.deviance):
            theta, here = trial, at_zero
    return theta, here


def _identified(data: Statistics, *, fixed: bool, given: bool) -> NDArray[np.bool_]:
    """Whether the ratios (a, b) can be told from one another and from the error."""
    n_strata = data.strata.size
    strata = given and not fixed and 1 < n_strata < data.n_wells
    wells = data.n_wells > (n_strata if fixed else 1) and data.class_rows.max() > 1.0
    return np.array([strata, wells])


def _checked(y: Floats, X: Floats, well: Ints) -> tuple[Floats, Floats, Ints]:
    y, X, well = np.asarray(y, dtype=np.float64), np.asarray(X, dtype=np.float64), np.asarray(well)
    if y.ndim != 1 or X.ndim != 2 or well.shape != y.shape or X.shape[0] != y.size:
        raise ValueError(
            f"expected y (R,), X (R, p) and well (R,) of the same R; found {y.shape}, {X.shape} and {well.shape}"
        )
    if y.size == 0:
        raise ValueError("y holds no rows; at least one more than the coefficients is needed")
    _refuse_codes("well", well)
    return y, X, well.astype(np.intp, copy=False)


def _checked_strata(well: Ints, stratum: Ints | None) -> Ints:
    """Codes of the strata of all wells; without strata one for all."""
    n_wells = int(well.max()) + 1
    if stratum is None:
        return np.zeros(n_wells, dtype=np.intp)
    stratum = np.asarray(stratum)
    if stratum.ndim != 1 or stratum.size < n_wells:
        raise ValueError(
            f"stratum must hold one code for each of the wells 0..{n_wells - 1}; found shape {stratum.shape}"
        )
    _refuse_codes("stratum", stratum)
    return stratum.astype(np.intp, copy=False)


def _refuse_codes(name: str, codes: Ints) -> None:
    if codes.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must hold integer codes (numpy.unique(..., return_inverse=True)); found {codes.dtype}"
        )
    if codes.min() < 0:
        raise ValueError(f"{name} must hold codes from 0 up; found {codes.min()} at position {codes.argmin()}")


def _refuse_degenerate(data: Statistics, square: float, *, fixed: bool) -> None:
    """Refuse what has no maximum of the likelihood."""
    p = data.within.shape[0] - 1
    needed = p + (data.strata.size if fixed else 0)
    if data.n_rows <= needed:
        raise ValueError(f"{data.n_rows} rows cannot tell {needed} coefficients and an error; more rows are needed")
    low = within_strata(data, 0.0)
    if fixed:
        cholesky(low.M[0, :-1, :-1], "those before it and the strata, which have a coefficient each")
    C, m = low.C[0], low.m[0]
    total = low.M[0, -1, -1] + C @ m[-1] ** 2
    explained = np.linalg.lstsq(data.within[:-1, :-1], data.within[:-1, -1], rcond=1e-9)[0] @ data.within[:-1, -1]
    repeated = data.n_rows > data.n_wells
    if total <= EXACT**2 * square or (repeated and data.within[-1, -1] - explained <= EXACT * total):
        raise ValueError(
            "y is fitted exactly within wells, which leaves nothing to tell the error by: give more rows a well, or"
            " check y for copied or computed values"
        )
