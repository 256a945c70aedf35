"""Distributions of positive quantities: lognormal moments, mixtures and their quantiles.

And the score of a forecast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

_BISECTIONS = 60


def lognormal_sd(mean: ArrayLike, log_variance: ArrayLike) -> Floats:
    """Give standard deviation of a lognormal of given mean and variance of its logarithm: ``mean √(exp(s²) - 1)``."""
    return np.asarray(np.asarray(mean) * np.sqrt(np.expm1(np.asarray(log_variance))), dtype=np.float64)


def lognormal_interval(mean: ArrayLike, log_variance: ArrayLike, z: ArrayLike) -> tuple[Floats, Floats]:
    """Bounds ``mean exp(-½s² ∓ z s)`` of a lognormal of given mean, at ``z`` standard deviations of its logarithm."""
    s2 = np.asarray(log_variance, dtype=np.float64)
    s = np.sqrt(s2)
    median = np.asarray(mean, dtype=np.float64) * np.exp(-0.5 * s2)
    half = np.asarray(z, dtype=np.float64) * s
    return median * np.exp(-half), median * np.exp(half)


def mixture_quantile(probability: float, mean: Floats, sd: Floats, weight: Floats) -> Floats:
    """Quantile of Gaussian mixtures, by bisection.

    Parameters
    ----------
    probability : float
        Between 0 and 1.
    mean, sd : (K, G)
        Components of G mixtures.
    weight : (K,)
        Weights that add up to one.

    Returns
    -------
    (G,)

    Examples
    --------
    >>> mixture_quantile(0.95, np.zeros((1, 1)), np.ones((1, 1)), np.ones(1)).round(4)
    array([1.6449])
    """
    if mean.shape[0] == 1:
        return np.asarray(mean[0] + float(special.ndtri(probability)) * sd[0])
    low = (mean - 12.0 * sd).min(axis=0)
    high = (mean + 12.0 * sd).max(axis=0)
    scale = np.maximum(sd, 1e-300)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        below = weight @ special.ndtr((middle - mean) / scale) < probability
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(0.5 * (low + high))


def spread_evenly(values: Floats, n: int) -> NDArray[np.intp]:
    """Choose some of many by a value that tells them apart, small ones and large ones alike, whatever their order.

    Parameters
    ----------
    values : (N,)
    n : int
        How many are enough; all of fewer than twice as many are taken.

    Returns
    -------
    (m,) array of int
        Places, by ascending value where not all are taken.

    Examples
    --------
    >>> spread_evenly(np.array([5.0, 1.0, 4.0, 2.0, 3.0, 0.0]), 2)
    array([1, 2])
    """
    step = max(1, values.size // n)
    return np.arange(values.size) if step == 1 else np.argsort(values)[step // 2 :: step]


def crps_lognormal(observed: ArrayLike, mean: ArrayLike, log_variance: ArrayLike) -> Floats:
    """Continuous ranked probability score of lognormal forecasts given by mean and variance of the logarithm.

    Baran & Lerch (2015), Q. J. R. Meteorol. Soc. 141, eq. 5: with ω = (ln y - μ)/σ,
    ``y (2Φ(ω) - 1) - 2 exp(μ + σ²/2) (Φ(ω - σ) + Φ(σ/√2) - 1)``.
    """
    y = np.asarray(observed, dtype=np.float64)
    s2 = np.asarray(log_variance, dtype=np.float64)
    s = np.sqrt(s2)
    expected = np.asarray(mean, dtype=np.float64)
    omega = (np.log(y) - (np.log(expected) - 0.5 * s2)) / s
    spread = special.ndtr(omega - s) + special.ndtr(s / np.sqrt(2.0)) - 1.0
    return np.asarray(y * (2.0 * special.ndtr(omega) - 1.0) - 2.0 * expected * spread)
