"""How far wells, their months and the paths of classes spread, learned by marginal likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from elec2water.recursion import PathPrior, integrate_wells, solve_paths

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_ENOUGH_WELLS = 3000
_LIMIT = 4.0
_START_SD = 1.0


@dataclass(frozen=True)
class LevelVariances:
    """Variances of ln κ.

    Attributes
    ----------
    level : float
        Of wells around the path of their class.
    movement : float
        Of a well's own level from one month to the next.
    reading : float
        Of an ordinary month's error.
    path_step : float
        Of the path of a class from one month to the next.
    path_start : float
        Of the path's first month around ``centre``; wide.
    centre : float
        ln κ about which paths start.
    """

    level: float = 0.27**2
    movement: float = 0.012**2
    reading: float = 0.04**2
    path_step: float = 0.03**2
    path_start: float = _START_SD**2
    centre: float = 0.0

    def prior(self) -> PathPrior:
        """Give the prior of a class's path."""
        return PathPrior(self.path_start, self.path_step, self.centre)


_PRIOR_LOG_SD = np.array([0.5, 0.7, 0.5, 0.7])


def learn_variances(log_kappa: Floats, noise: Floats, classes: Ints) -> LevelVariances:
    """Find the variances of level, movement, reading and path step that make the readings likeliest.

    Weak lognormal priors stand where the readings cannot tell (half a unit of the log standard deviation). Of more than
    3,000 wells every k-th is used.

    Parameters
    ----------
    log_kappa, noise : (N, T)
        As of :class:`elec2water.telemetry.MonthlyCoefficients`.
    classes : (N,)
        Code 0..G-1 of each well's class.
    """
    step = max(1, log_kappa.shape[0] // _ENOUGH_WELLS)
    order = np.argsort(classes, kind="stable")[::step]
    y, scale = log_kappa[order], noise[order]
    _, codes = np.unique(classes[order], return_inverse=True)
    codes = np.asarray(codes, dtype=np.intp)
    read = y[np.isfinite(y)]
    centre = float(np.median(read)) if read.size else 0.0
    usual = LevelVariances()
    middle = 0.5 * np.log([usual.level, usual.movement, usual.reading, usual.path_step])

    def rising(psi: Floats) -> float:
        tried = _variances(psi, centre)
        wells = integrate_wells(
            y, tried.movement, tried.reading * scale, variance=tried.level, classes=codes, engine="numpy"
        )
        fit = float(solve_paths(wells, tried.prior()).log_likelihood.sum())
        return -fit + 0.5 * float((((psi - middle) / _PRIOR_LOG_SD) ** 2).sum())

    bounds = [(m - _LIMIT, m + _LIMIT) for m in middle]
    found = optimize.minimize(rising, middle, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-9, "eps": 1e-4})
    return _variances(np.asarray(found.x, dtype=np.float64), centre)


def _variances(psi: Floats, centre: float) -> LevelVariances:
    level, movement, reading, path_step = np.exp(2.0 * psi).tolist()
    return LevelVariances(level, movement, reading, path_step, centre=centre)
