"""How well a sample is spread, and the variance of totals from samples that are.

References
----------
Stevens, D.L. and Olsen, A.R. (2004), Spatially balanced sampling of natural resources, JASA 99, 262-278.
Grafström, A. and Schelin, L. (2014), How to select representative samples, Scand. J. Statist. 41, 277-290.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_TIE = 1e-9


def voronoi_balance(probability: Floats, coordinates: Floats, drawn: Integers) -> float:
    """Measure the spatial balance of a sample by the Voronoi polygons of its units.

    Every unit of the frame counts for the nearest sample unit, in equal parts where several are equally near; v_i is
    the sum of the probabilities that sample unit i then holds, one on average. The measure is Σ (v_i − 1)² / n
    (Stevens and Olsen 2004): the smaller the better spread, zero if every unit speaks for just its part of the frame.

    Parameters
    ----------
    probability : (N,) array
        Inclusion probabilities.
    coordinates : (N, D) array
    drawn : (n,) array of int
        Positions of the sample.

    Returns
    -------
    float
    """
    few = min(drawn.size, 8)
    distance, nearest = cKDTree(coordinates[drawn]).query(coordinates, k=np.arange(1, few + 1))
    far = np.asarray(distance)
    shared = far <= far[:, :1] * (1 + _TIE)
    part = (shared / shared.sum(axis=1, keepdims=True)) * probability[:, None]
    held = np.bincount(np.asarray(nearest).ravel(), weights=part.ravel(), minlength=drawn.size)
    return float(((held - 1.0) ** 2).mean())


def local_mean_variance(
    values: Floats, probability: Floats, coordinates: Floats, codes: Integers | None = None
) -> float:
    """Estimate the variance of the Horvitz–Thompson total of a spatially balanced sample.

    V = ½ Σ (1 − π_i) (y_i/π_i − y_j/π_j)², j the sample unit nearest to i (Grafström and Schelin 2014, eq. 8, with the
    finite population factor of Deville's estimator, so that certain units add nothing). The usual estimators take a
    spread sample for a random one and overstate its variance.

    Parameters
    ----------
    values : (n,) array
        Observed at the sample units; residuals of the model for a model-assisted total.
    probability : (n,) array
        Their inclusion probabilities.
    coordinates : (n, D) array
    codes : (n,) array of int, optional
        Strata: neighbours are looked for inside them. A unit alone in its stratum is compared with the nearest of all.

    Returns
    -------
    float
        At least zero; zero for fewer than two units.
    """
    if values.size < 2:
        return 0.0
    expanded = values / probability
    every = np.zeros(values.size, dtype=np.int64)
    near = _nearest(coordinates, every)
    if codes is not None:
        company = np.bincount(codes)[codes] > 1
        near[company] = np.flatnonzero(company)[_nearest(coordinates[company], codes[company])]
    return float(0.5 * ((1.0 - probability) * (expanded - expanded[near]) ** 2).sum())


def _nearest(coordinates: Floats, codes: Integers) -> Integers:
    """Return the nearest other unit of the same stratum; strata lie far apart in a dimension of their own."""
    if coordinates.shape[0] == 0:
        return np.zeros(0, dtype=np.int64)
    extent = float(np.ptp(coordinates, axis=0).max()) or 1.0
    apart = np.column_stack([coordinates / extent, 10.0 * codes])
    found = np.asarray(cKDTree(apart).query(apart, k=2)[1], dtype=np.int64)
    own = np.arange(codes.size)
    return np.where(found[:, 0] == own, found[:, 1], found[:, 0])
