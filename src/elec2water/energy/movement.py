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
CLASS_BETWEEN_YEARS = 0.01
"""The same of a class beside the county: 10 %, assumed too."""
PRIOR_READ = 10.0
"""Weight of the other year in how wells of a month differ, as a number of wells."""
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


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """How well the readings of a month tell its effect.

    Attributes
    ----------
    like : numpy.ndarray, shape (M,)
        The month that each month follows as far as it is not told itself; itself where there is none.
    own : numpy.ndarray, shape (M,)
        Number of wells that were read.
    common : numpy.ndarray, shape (M,)
        Relative variance of the county's effect of the month, an error that all wells imputed in it have in common.
    """

    like: Ints
    own: Ints
    common: Floats


def follow_years_before(movement: Movement, kwh: Floats, months: Months) -> tuple[Movement, Told]:
    """Draw the months that few or no wells have been read in towards the same calendar month of another year.

    The wells that were read tell the county's factor f between both months with the relative variance r = Σ var / (Σ
    mean)², of their squared residuals; before that it is one within :data:`BETWEEN_YEARS`. The posterior mean is taken,
    f = 1 + (f − 1) B / (B + r) with variance B r / (B + r), and a class's own effect is drawn towards f times that of
    its other year in the same manner, within :data:`CLASS_BETWEEN_YEARS` of it. With many wells nothing moves; with
    none the month is the other year's.

    Parameters
    ----------
    movement : Movement
        G classes, M months, NaN in those nobody has read.
    kwh : numpy.ndarray, shape (N, M)
        What it was fitted to.
    months : numpy.ndarray, shape (M,)
        ``datetime64[M]``, consecutive.

    Returns
    -------
    movement : Movement
        NaN only in months that nobody has read in any year.
    told : Told
    """
    sums, seen = membership(movement.group, len(movement.profile)), np.isfinite(kwh)
    like = _years_before(seen.sum(axis=0))
    level, known = np.nan_to_num(movement.level)[:, None], np.where(seen, kwh, 0.0)
    profile = np.nan_to_num(movement.profile)
    own, other = (np.where(seen, level * effect[movement.group], 0.0) for effect in (profile, profile[:, like]))
    mean = np.where(own.any(axis=0), own, other)
    spread = _spread_of_months(known - mean, mean, seen.sum(axis=0), like)
    of_class = _relative(spread * (sums @ mean**2), sums @ mean)
    of_county = _relative(spread * (mean**2).sum(axis=0), mean.sum(axis=0))
    expected = other.sum(axis=0)
    factor = np.divide(known.sum(axis=0), expected, out=np.ones(len(months)), where=expected > 0.0)
    follows, told = like != np.arange(len(months)), np.isfinite(of_county)
    before = BETWEEN_YEARS + np.where(told, of_county, 0.0)[like]
    heard = np.where(follows, before / (before + of_county), 1.0)
    held = np.where(follows, CLASS_BETWEEN_YEARS / (CLASS_BETWEEN_YEARS + of_class), 1.0)
    drawn = held * profile + (1.0 - held) * profile[:, like] * (1.0 + heard * (factor - 1.0))
    common = np.where(told, heard * np.where(told, of_county, 0.0), np.where(follows, before, 0.0))
    drawn = np.where(follows | np.isfinite(movement.profile), drawn, np.nan)
    return replace(movement, profile=drawn), Told(like, seen.sum(axis=0), common)


def _years_before(read: Ints) -> Ints:
    """Give the nearest same calendar month in which at least half as many wells were read, itself without one; (M,)."""
    month = np.arange(len(read))
    like = month.copy()
    for m in month:
        same = np.flatnonzero((month != m) & ((month - m) % MONTHS_PER_YEAR == 0) & (read > 0) & (2 * read >= read[m]))
        if len(same):
            like[m] = same[np.argmin(np.abs(same - m))]
    return like


def _spread_of_months(residual: Floats, mean: Floats, read: Ints, like: Ints) -> Floats:
    """Relative variance of a well in a month, (M,): where few were read mostly that of the other year."""
    square = (mean**2).sum(axis=0)
    own = np.divide((residual**2).sum(axis=0), square, out=np.ones(len(read)), where=square > 0.0)
    share = read / (read + PRIOR_READ)
    return np.asarray(share * own + (1.0 - share) * own[like])


def _relative(variance: Floats, mean: Floats) -> Floats:
    return np.asarray(np.divide(variance, mean**2, out=np.full(mean.shape, np.inf), where=mean > 0.0))


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
