"""How the energy of a class of wells moves from month to month, whatever each well's own size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from elec2water.calendar_ import Months
from elec2water.energy.arrays import Bools, Floats, Ints
from elec2water.sums import membership

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
    covered : numpy.ndarray, shape (N,)
        Sum of the effects of the months known of each well.
    """

    profile: Floats
    group: Ints
    level: Floats
    covered: Floats

    @property
    def of_wells(self) -> Floats:
        """Effect of each month for each well, shape (N, M); 1 in months nobody has data for."""
        return np.asarray(np.where(np.isfinite(self.profile), self.profile, 1.0)[self.group])


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
    group = np.asarray(group, dtype=np.int64)
    known = np.where(np.isnan(kwh), 0.0, kwh)
    data = _Patterns.of(kwh, known, group)
    seen: Bools = np.asarray(data.there.any(axis=0))
    profile = _proportional_fit(data.as_one_class(), 1, np.ones((1, kwh.shape[1])), seen, prior=0.0)
    if len(labels) > 1:
        profile = _proportional_fit(data, len(labels), profile, seen, prior=PRIOR_WELLS)
    covered = data.weight(profile)[data.of_well]
    level = np.divide(known.sum(axis=1), covered, out=np.zeros(len(kwh)), where=covered > _NOTHING)
    told: Bools = np.asarray(data.there.any(axis=1))
    level[~told[data.of_well]] = np.nan
    return Movement(profile=np.where(seen, profile, np.nan), group=group, level=level, covered=covered)


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
class _Patterns:
    """Data with holes, wells of one class with the same holes put together: their levels add up as one.

    Attributes
    ----------
    of_well : numpy.ndarray, shape (N,)
        Pattern of each well.
    energy : numpy.ndarray, shape (P, M)
        Sum of what is known of its wells.
    there : numpy.ndarray, shape (P, M)
        False where there is a hole.
    group : numpy.ndarray, shape (P,)
        Class.
    n_wells : numpy.ndarray, shape (P,)
    """

    of_well: Ints
    energy: Floats
    there: Bools
    group: Ints
    n_wells: Ints

    @classmethod
    def of(cls, kwh: Floats, known: Floats, group: Ints) -> _Patterns:
        """Find wells alike; ``known`` (N, M) is ``kwh`` with zeros in its holes."""
        number, first = _alike(np.isnan(kwh), group)
        size = len(first)
        return cls(
            number,
            np.asarray(membership(number, size) @ known),
            ~np.isnan(kwh[first]),
            group[first],
            np.bincount(number, minlength=size),
        )

    def as_one_class(self) -> _Patterns:
        """Forget the classes."""
        return replace(self, group=np.zeros_like(self.group))

    def weight(self, profile: Floats) -> Floats:
        """Sum the class's effects over the months that are known, shape (P,)."""
        return np.asarray((self.there * profile[self.group]).sum(axis=1))

    def levels(self, profile: Floats) -> Floats:
        """Sum the levels at which the wells' fitted totals are their observed ones, shape (P,)."""
        energy, weight = self.energy.sum(axis=1), self.weight(profile)
        return np.asarray(np.divide(energy, weight, out=np.zeros_like(energy), where=weight > _NOTHING))


def _alike(hole: Bools, group: Ints) -> tuple[Ints, Ints]:
    """Give wells (N,) numbers by class and holes (N, M), and the first well of each number."""
    bits = np.packbits(hole, axis=1)
    bits = np.ascontiguousarray(np.pad(bits, ((0, 0), (0, -bits.shape[1] % 4)))).view(np.uint32)
    number = group
    for part in bits.T:
        number = np.asarray(pd.factorize((number << 32) | part)[0], dtype=np.int64)
    first = np.zeros(int(number.max(initial=-1)) + 1, dtype=np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]
    return number, first


def _proportional_fit(data: _Patterns, n_groups: int, centre: Floats, seen: Bools, prior: float) -> Floats:
    """Alternate levels and class effects until neither moves; shape (G, M) with mean 1 over months ``seen`` (M,)."""
    sums = membership(data.group, n_groups)
    observed = sums @ data.energy
    counts = np.maximum(sums @ data.n_wells, 1)[:, None]
    profile = np.repeat(centre, n_groups, axis=0)
    for _ in range(_MAX_ROUNDS):
        level = data.levels(profile)
        total = (sums @ level)[:, None]
        pseudo = prior * total / counts
        weight = sums @ (data.there * level[:, None]) + pseudo
        new = np.divide(observed + pseudo * centre, weight, out=np.array(profile), where=weight > _NOTHING * total)
        mean = new[:, seen].mean(axis=1, keepdims=True) if seen.any() else np.ones((n_groups, 1))
        new = np.divide(new, mean, out=np.ones(new.shape), where=mean > 0)
        if np.max(np.abs(new - profile), initial=0.0) < _TOLERANCE:
            return np.asarray(new)
        profile = new
    return np.asarray(profile)
