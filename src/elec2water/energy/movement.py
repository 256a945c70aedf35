"""How the energy of a class of wells moves from month to month, whatever each well's own size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from elec2water.energy.arrays import Floats, Ints

PRIOR_WELLS = 5.0
"""Weight of the whole county's movement in that of a class, as a number of wells: a class of two borrows most of it."""
_TOLERANCE = 1e-8
_MAX_ROUNDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Movement:
    """Multiplicative month effects.

    Attributes
    ----------
    profile : numpy.ndarray, shape (G, M)
        Effect of the month in each class, mean 1 over the months somebody has data for; NaN in months nobody has.
    group : numpy.ndarray, shape (N,)
        Class of each well, an index into `profile`.
    level : numpy.ndarray, shape (N,)
        Size of each well: energy of a month of effect 1; NaN where nothing is known of the well.
    """

    profile: Floats
    group: Ints
    level: Floats

    @property
    def of_wells(self) -> Floats:
        """Effect of each month for each well, shape (N, M); 1 in months nobody has data for."""
        return np.asarray(np.where(np.isfinite(self.profile), self.profile, 1.0)[self.group])


def one_hot(group: Ints, n_groups: int) -> sparse.csr_array:
    """Give the (G, N) matrix that sums wells into their classes."""
    n = len(group)
    return sparse.csr_array((np.ones(n), (group, np.arange(n))), shape=(n_groups, n))


def fit_movement(kwh: Floats, groups: npt.ArrayLike) -> Movement:
    """Fit level × class-month effects to incomplete data.

    The mean of a well-month is ``level_i · profile_gm`` (log-additive). The quasi-Poisson score equations, "fitted
    totals equal observed totals for every well and every class-month", are solved by iterative proportional fitting;
    they need no logarithm of the data, so that zeros weigh as what they are (McCullagh and Nelder 1989, chapter 9).
    Class effects are pulled towards the county's as if by :data:`PRIOR_WELLS` further wells.

    Parameters
    ----------
    kwh : numpy.ndarray, shape (N, M)
        Non-negative, NaN where unknown.
    groups : array_like, shape (N,)
        Labels of any kind.

    Returns
    -------
    Movement
    """
    group, labels = pd.factorize(np.asarray(groups), use_na_sentinel=False)
    seen = np.isfinite(kwh)
    energy = np.where(seen, kwh, 0.0)
    county = _proportional_fit(energy, seen, one_hot(np.zeros_like(group), 1), np.ones((1, kwh.shape[1])), 0.0)
    if len(labels) > 1:
        profile = _proportional_fit(energy, seen, one_hot(group, len(labels)), county, PRIOR_WELLS)
    else:
        profile = county
    level = _levels(energy, seen, profile[group])
    profile = np.where(seen.any(axis=0), profile, np.nan)
    return Movement(profile=profile, group=np.asarray(group, dtype=np.int64), level=level)


def _levels(energy: Floats, seen: npt.NDArray[np.bool_], effect: Floats) -> Floats:
    weight = np.einsum("ij,ij->i", seen, effect)
    level = np.divide(energy.sum(axis=1), weight, out=np.zeros(len(energy)), where=weight > 0)
    return np.where(seen.any(axis=1), level, np.nan)


def _proportional_fit(
    energy: Floats, seen: npt.NDArray[np.bool_], sums: sparse.csr_array, centre: Floats, prior: float
) -> Floats:
    """Alternate levels and class effects until neither moves; shape (G, M) with mean 1 over months seen."""
    group = np.asarray(sums.argmax(axis=0)).ravel()
    observed, seen_float = sums @ energy, seen.astype(np.float64)
    counts = np.asarray(sums.sum(axis=1)).ravel()
    any_seen = seen.any(axis=0)
    profile = np.repeat(centre, sums.shape[0], axis=0) if len(centre) == 1 else centre
    for _ in range(_MAX_ROUNDS):
        level = np.nan_to_num(_levels(energy, seen, profile[group]))
        pseudo = prior * (sums @ level) / np.maximum(counts, 1.0)
        weight = sums @ (level[:, None] * seen_float) + pseudo[:, None]
        wanted = observed + pseudo[:, None] * centre
        new = np.divide(wanted, weight, out=np.array(profile), where=weight > 0)
        mean = new[:, any_seen].mean(axis=1, keepdims=True) if any_seen.any() else np.ones((len(new), 1))
        new = np.divide(new, mean, out=np.ones_like(new), where=mean > 0)
        if np.max(np.abs(new - profile), initial=0.0) < _TOLERANCE:
            return new
        profile = new
    return profile
