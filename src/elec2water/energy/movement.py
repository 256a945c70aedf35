"""How the energy of a class of wells moves from month to month, whatever each well's own size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from elec2water.calendar_ import Months
from elec2water.energy.arrays import Bools, Floats, Ints

PRIOR_WELLS = 5.0
"""Weight of the whole county's movement in that of a class, as a number of wells: a class of two borrows most of it."""
BETWEEN_YEARS = 0.09
"""Relative variance of a county's energy in a month around the same month of the year before: a standard deviation of
30 %, assumed and not estimated from data; a county with several years of readings could tell its own."""
MONTHS_PER_YEAR = 12
_TOLERANCE = 1e-8
_MAX_ROUNDS = 60
_NOTHING = 1e-12


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
    data = _Incomplete.of(kwh, np.asarray(group, dtype=np.int64))
    whole = _Incomplete(data.known, data.energy, data.row, data.column, np.zeros_like(data.group), data.told)
    flat = np.ones((1, kwh.shape[1]))
    profile = _proportional_fit(whole, whole.class_totals(1), flat, prior=0.0)
    if len(labels) > 1:
        profile = _proportional_fit(data, data.class_totals(len(labels)), profile, prior=PRIOR_WELLS)
    level = np.where(data.told, data.levels(profile), np.nan)
    seen = np.bincount(data.column, minlength=kwh.shape[1]) < len(kwh)
    return Movement(profile=np.where(seen, profile, np.nan), group=data.group, level=level)


def follow_years_before(movement: Movement, months: Months) -> tuple[Movement, Ints]:
    """Let months that nobody has read move as the same calendar month of the latest year that was read.

    Parameters
    ----------
    movement : Movement
        M months, NaN in those nobody has read.
    months : numpy.ndarray, shape (M,)
        ``datetime64[M]``, consecutive.

    Returns
    -------
    movement : Movement
        NaN only in months that nobody has read in any year.
    like : numpy.ndarray, shape (M,)
        The month that each month follows: itself where it was read.
    """
    profile = movement.profile.copy()
    like = np.arange(len(months))
    read = np.isfinite(profile).all(axis=0)
    for month in np.flatnonzero(~read):
        same = np.flatnonzero(read & ((like - month) % MONTHS_PER_YEAR == 0))
        if len(same):
            like[month] = same[np.argmin(np.abs(same - month))]
            profile[:, month] = profile[:, like[month]]
    return replace(movement, profile=profile), like


@dataclass(frozen=True, slots=True, eq=False)
class _Incomplete:
    """Data with holes, arranged so that a round of the fit costs only wells and holes, not wells × months.

    Attributes
    ----------
    known : numpy.ndarray, shape (N, M)
        Zero where there is a hole.
    energy : numpy.ndarray, shape (N,)
        Sum of what is known of each well.
    row, column : numpy.ndarray, shape (h,)
        Where the holes are.
    group : numpy.ndarray, shape (N,)
        Class of each well.
    told : numpy.ndarray, shape (N,)
        True for wells of which anything is known.
    """

    known: Floats
    energy: Floats
    row: Ints
    column: Ints
    group: Ints
    told: Bools

    @classmethod
    def of(cls, kwh: Floats, group: Ints) -> _Incomplete:
        """Find the holes."""
        hole = np.isnan(kwh)
        row, column = np.divmod(np.flatnonzero(hole), kwh.shape[1])
        told = np.bincount(row, minlength=len(kwh)) < kwh.shape[1]
        known = np.where(hole, 0.0, kwh)
        return cls(known, known.sum(axis=1), row, column, group, told)

    def class_totals(self, n_groups: int) -> Floats:
        """Sum what is known of each class and month, shape (G, M)."""
        return np.asarray(one_hot(self.group, n_groups) @ self.known)

    def levels(self, profile: Floats) -> Floats:
        """Give the level at which each well's fitted total is its observed one, shape (N,)."""
        missing = np.bincount(self.row, weights=profile[self.group[self.row], self.column], minlength=len(self.energy))
        weight = profile.sum(axis=1)[self.group] - missing
        possible = self.told & (weight > _NOTHING)
        return np.asarray(np.divide(self.energy, weight, out=np.zeros_like(self.energy), where=possible))

    def exposure(self, level: Floats, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Sum the levels of the wells known in each class and month (G, M), and of all in the class (G, 1)."""
        total = np.bincount(self.group, weights=level, minlength=shape[0]).astype(np.float64)[:, None]
        cell = self.group[self.row] * shape[1] + self.column
        holes = np.bincount(cell, weights=level[self.row], minlength=shape[0] * shape[1])
        return np.asarray(np.maximum(total - holes.reshape(shape), 0.0)), total


def _proportional_fit(data: _Incomplete, observed: Floats, centre: Floats, prior: float) -> Floats:
    """Alternate levels and class effects until neither moves; shape (G, M) with mean 1 over months seen."""
    shape = observed.shape
    counts = np.maximum(np.bincount(data.group, minlength=shape[0]), 1)[:, None]
    seen = np.bincount(data.column, minlength=shape[1]) < len(data.energy)
    profile = np.repeat(centre, shape[0], axis=0)
    for _ in range(_MAX_ROUNDS):
        weight, total = data.exposure(data.levels(profile), shape)
        pseudo = prior * total / counts
        weight = weight + pseudo
        new = np.divide(observed + pseudo * centre, weight, out=np.array(profile), where=weight > _NOTHING * total)
        mean = new[:, seen].mean(axis=1, keepdims=True) if seen.any() else np.ones((shape[0], 1))
        new = np.divide(new, mean, out=np.ones(shape), where=mean > 0)
        if np.max(np.abs(new - profile), initial=0.0) < _TOLERANCE:
            return new
        profile = new
    return profile
