"""How much of a year's electricity a month takes, from readings that need not end with months."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg, optimize, sparse

from elec2water.energy.arrays import Bools, Floats, Ints
from elec2water.energy.movement import BETWEEN_YEARS, MONTHS_PER_YEAR
from elec2water.stats import spread_evenly
from elec2water.sums import membership, renumbered

STEP = 0.8
"""Standard deviation of the step from one month's rate to the next, in mean rates, before any reading. Assumed: 0.6 to
1.2 in simulated counties of six kinds; where months are read one by one it counts for nothing."""
STEP_DF = 4.0
"""Degrees of freedom of the steps' Student law: most of a year little moves, and a season sets in at once."""
GROUPS_DIFFER = 0.05
"""Relative standard deviation by which meters that are read on the same days differ from the others in a period, for
they are of the same villages and crops, beside what townships are found to differ by. Assumed."""
ENOUGH_METERS = 4_000
"""Meters that tell the rates of a county to better than a percent; more only take time."""
_REST = 0.3
"""Mean rates below which a month of rest differs from that of another year as if it had so much."""
_ROUNDS = 100
_TOLERANCE = 1e-9
_LEAST = 1e-4
_TINY = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """What n meters used within months, and in c intervals that cross month ends.

    Attributes
    ----------
    days, kwh : numpy.ndarray, shape (n, M)
        Days read within each month, and energy [kWh].
    overlap : scipy.sparse.csr_array, shape (c, M)
        Days of each month that an interval holds.
    meter : numpy.ndarray, shape (c,)
        Whose it is.
    kind : numpy.ndarray, shape (c,)
        Intervals of the same days are of one kind, 0..K-1.
    energy : numpy.ndarray, shape (c,)
        Energy of each interval [kWh].
    group : numpy.ndarray, shape (n,)
        Township of each meter, 0..T-1: its meters have a season of their own.
    """

    days: Floats
    kwh: Floats
    overlap: sparse.csr_array
    meter: Ints
    kind: Ints
    energy: Floats
    group: Ints

    def used(self) -> Floats:
        """All energy of each meter [kWh], (n,)."""
        return np.asarray(self.kwh.sum(axis=1) + np.bincount(self.meter, self.energy, len(self.days)))

    def beside(self, other: Readings) -> Readings:
        """Add the readings of other meters over the same months, whose intervals are of kinds of their own."""
        n, kinds = len(self.days), int(self.kind.max(initial=-1)) + 1
        return Readings(
            np.vstack([self.days, other.days]),
            np.vstack([self.kwh, other.kwh]),
            sparse.csr_array(sparse.vstack([self.overlap, other.overlap])),
            np.concatenate([self.meter, n + other.meter]),
            np.concatenate([self.kind, kinds + other.kind]),
            np.concatenate([self.energy, other.energy]),
            np.concatenate([self.group, other.group]),
        )

    def where_most_speak(self, share: float) -> Readings:
        """Keep what touches only months of which so many of the meters tell that told of earlier and of later ones."""
        n = len(self.days)
        told = self.days + membership(self.meter, n) @ self.overlap.toarray() > 0
        since = np.maximum.accumulate(told, axis=1)
        until = np.maximum.accumulate(told[:, ::-1], axis=1)[:, ::-1]
        few = told.sum(axis=0) < share * (since & until).sum(axis=0)
        kept = np.flatnonzero(self.overlap @ few.astype(np.float64) == 0)
        overlap, meter, energy = self.overlap[kept], self.meter[kept], self.energy[kept]
        return Readings(self.days * ~few, self.kwh * ~few, overlap, meter, self.kind[kept], energy, self.group)

    def of_meters(self, some: Ints) -> Readings:
        """Give the readings of some of the meters."""
        place = np.full(len(self.days), -1)
        place[some] = np.arange(len(some))
        kept = np.flatnonzero(place[self.meter] >= 0)
        _, kind = np.unique(self.kind[kept], return_inverse=True)
        overlap, meter = self.overlap[kept], place[self.meter[kept]]
        return Readings(self.days[some], self.kwh[some], overlap, meter, kind, self.energy[kept], self.group[some])

    def levels(self, rate: Floats) -> Floats:
        """Energy of each meter over what the months' rates have it use, (n,); 0 where nothing is known of it."""
        n = len(self.days)
        expected = self.days @ rate + np.bincount(self.meter, self.overlap @ rate, n)
        return np.divide(self.used(), expected, out=np.zeros(n), where=expected > 0)


def month_rates(readings: Readings, bare: Bools) -> tuple[Floats, Floats, float]:
    """Estimate how the energy of a meter moves from month to month, whatever each meter's size.

    A meter's energy of an interval has the mean ``level_i Σ days_m r_m`` and a variance in proportion (quasi-Poisson).
    Levels are such that fitted totals of meters are the observed ones. A month read by itself has the rate at which its
    total is observed; the others the most probable ones, not negative, when the steps of ``r`` are Student's around 0
    with :data:`STEP` and a month differs from that a year ago by :data:`~elec2water.energy.movement.BETWEEN_YEARS`.
    Sums over two months, some from odd and some from even months on, are blind to a rate that alternates, so that what
    they differ by otherwise would add up month by month: that is what the steps are for.

    Parameters
    ----------
    readings : Readings
    bare : numpy.ndarray, shape (M,)
        Months that only intervals across their ends tell of.

    Returns
    -------
    rate : numpy.ndarray, shape (M,)
        Energy of a day, of mean 1; not told by data in months nobody has read.
    covariance : numpy.ndarray, shape (M, M)
        Of the rates of bare months, as if they might be negative; 0 for the others.
    apart : float
        Relative standard deviation of the rate of a township in a month around the county's.
    """
    rate = np.ones(readings.days.shape[1])
    covariance = np.zeros((rate.size, rate.size))
    if bare.any() and len(readings.days) >= 2 * ENOUGH_METERS:
        readings = readings.of_meters(spread_evenly(readings.used(), ENOUGH_METERS))
    total = float(readings.kwh.sum() + readings.energy.sum())
    if not total > 0:
        return rate, covariance, 0.0
    readings = replace(readings, kwh=readings.kwh / total, energy=readings.energy / total)
    for _ in range(_ROUNDS):
        level = readings.levels(rate)
        weight = level @ readings.days
        new = np.divide(readings.kwh.sum(axis=0), weight, out=rate.copy(), where=~bare & (weight > 0))
        if bare.any():
            new[bare], covariance[np.ix_(bare, bare)] = _bare_rates(readings, level, new, rate, bare)
        scale = new.mean()
        if not scale > 0:
            break
        new, covariance = new / scale, covariance / scale**2
        moved = np.max(np.abs(new - rate), initial=0.0)
        rate = new
        if moved <= _TOLERANCE:
            break
    return rate, covariance, _townships_apart(readings, readings.levels(rate), rate)


def _bare_rates(readings: Readings, level: Floats, known: Floats, rate: Floats, bare: Bools) -> tuple[Floats, Floats]:
    """Give the most probable rates (B,) of bare months and their covariance (B, B), the rates of the others known."""
    design, told, variance = _sums_of_kinds(readings, level, rate, bare)
    scale = 1.0 / np.sqrt(variance)
    prior = _expected(rate, _student_steps(rate))
    rows = np.vstack([design * scale[:, None], prior])
    held = np.concatenate([told * scale, np.zeros(len(prior))]) - rows[:, ~bare] @ known[~bare]
    precision = _precision(rows[:, bare])
    factor = linalg.cholesky(precision, lower=True)
    found, _ = optimize.nnls(factor.T, linalg.solve_triangular(factor, rows[:, bare].T @ held, lower=True))
    wide = np.vstack([design * scale[:, None], _expected(rate, np.maximum(_student_steps(rate), STEP))])
    return found, np.asarray(linalg.inv(_precision(wide[:, bare])))


def _precision(rows: Floats) -> Floats:
    return np.asarray(rows.T @ rows + _LEAST * np.eye(rows.shape[1]))


def _student_steps(rate: Floats) -> Floats:
    """Give the standard deviation (M - 1,) of normal steps that stand for Student's, from the last rates.

    A quadratic law would have the rates alternate all year to round off the beginning and the end of a season. What
    the rates err by is said by steps of :data:`STEP` at least: where nothing tells of one it seems to be small.
    """
    scale = (STEP_DF - 2.0) / STEP_DF * STEP**2
    return np.asarray(np.sqrt((STEP_DF * scale + np.diff(rate) ** 2) / (STEP_DF + 1.0)))


def _expected(rate: Floats, step: Floats) -> Floats:
    """Give what is 0 ± 1 of the rates before any reading, (R, M): steps, and what a month has over that a year ago.

    A season comes again: the steps of n years are n times the same one, and count as one.
    """
    months, place = np.eye(rate.size), np.arange(rate.size) % MONTHS_PER_YEAR
    again = np.bincount(place)[place][1:]
    size = 0.5 * (rate[:-MONTHS_PER_YEAR] + rate[MONTHS_PER_YEAR:])
    sd = np.sqrt(BETWEEN_YEARS) * np.maximum(size, _REST)
    years = months[MONTHS_PER_YEAR:] - months[:-MONTHS_PER_YEAR]
    return np.vstack([np.diff(months, axis=0) / (step * np.sqrt(again))[:, None], years / sd[:, None]])


def _sums_of_kinds(readings: Readings, level: Floats, rate: Floats, bare: Bools) -> tuple[Floats, Floats, Floats]:
    """Give exposures (K, M), energies (K,) and variances (K,) of the kinds, and of months read by too few meters."""
    size = level[readings.meter]
    length = readings.overlap @ rate
    scatter = _scatter(readings, size, length)
    of_kind = membership(readings.kind, int(readings.kind.max(initial=-1)) + 1)
    design = (of_kind @ sparse.diags_array(size) @ readings.overlap).toarray()
    told = of_kind @ readings.energy
    noise = of_kind @ (size * size * length)
    some = bare & (readings.days > 0).any(axis=0)
    within = (level @ readings.days)[some]
    design = np.vstack([design, np.eye(rate.size)[some] * within[:, None]])
    told = np.concatenate([told, readings.kwh.sum(axis=0)[some]])
    noise = scatter * np.concatenate([noise, ((level**2) @ readings.days)[some] * rate[some]])
    rest = 1.0 - np.minimum(of_kind @ size / max(float(level.sum()), _TINY), 1.0)
    apart = GROUPS_DIFFER**2 * np.concatenate([rest, np.ones(int(some.sum()))])
    apart += _townships_apart(readings, level, rate) ** 2 * _unlike_the_county(readings, level, rate, some)
    return design, told, noise + apart * told**2 + (_LEAST * told.max(initial=0.0)) ** 2 + _TINY


def _scatter(readings: Readings, size: Floats, length: Floats) -> float:
    """Give the variance of an interval's energy over ``size² length``, quasi-Poisson."""
    expected = size * length
    spread = float(size @ expected) * _freedom(readings)
    return float(np.sum((readings.energy - expected) ** 2)) / spread if spread > 0 else 1.0


def _freedom(readings: Readings) -> float:
    """Give the part of the intervals that is left when each meter has told its level."""
    n = max(readings.energy.size, 1)
    return max(n - np.unique(readings.meter).size, 1) / n


def _townships_apart(readings: Readings, level: Floats, rate: Floats) -> float:
    """Estimate the relative standard deviation of the rate of a township in a month around the county's.

    By moments, from what a township's meters used between the same days as others, ``e_t``, less its part ``p_t`` of
    what all of these used, ``e``. Deviations of months are independent and come again every year; x is what the
    county's rates have the township use, v its part of what they have it use in all Y years, so that with
    ``q = Σ (d r)²/(Σ d r)²`` over the months of an interval, and since levels are told by the same readings,
    ``E (e_t - p_t e)² = Σ_u ([u = t] - p_t)² (s² x_u² (q (1 - 2Yv_u) + Y Σ v_u² q) + noise_u)``.
    """
    size, length = level[readings.meter], readings.overlap @ rate
    n_kinds, n_groups = int(readings.kind.max(initial=-1)) + 1, int(readings.group.max(initial=0)) + 1
    cell, there = renumbered(readings.kind * n_groups + readings.group[readings.meter], n_kinds * n_groups)
    kind, group = np.divmod(there, n_groups)
    values = np.column_stack([readings.energy, size * length, size * size * length])
    told, expected, noise = (membership(cell, there.size) @ values).T
    noise = noise * _scatter(readings, size, length) * _freedom(readings)
    years = max(rate.size / MONTHS_PER_YEAR, 1.0)
    uneven = _uneven(readings, rate, n_kinds)[kind]
    part = _parts(expected, group, n_groups)
    left = uneven * (1.0 - 2.0 * years * part) + years * np.bincount(group, part**2 * uneven, n_groups)[group]
    unit = expected**2 * np.maximum(left, 0.0)
    of_kind = _parts(expected, kind, n_kinds)
    around = told - of_kind * np.bincount(kind, told, n_kinds)[kind]
    found, by_noise, by_one = float(around @ around), *(_around_kind(x, of_kind, kind, n_kinds) for x in (noise, unit))
    return float(np.sqrt(np.clip((found - by_noise) / by_one, 0.0, 1.0))) if by_one > 0 else 0.0


def _parts(values: Floats, group: Ints, n_groups: int) -> Floats:
    """Give each value's part of the sum of its group, (n,); 0 where that is nothing."""
    total = np.bincount(group, values, n_groups)[group]
    return np.divide(values, total, out=np.zeros_like(values), where=total > 0)


def _around_kind(variance: Floats, part: Floats, kind: Ints, n_kinds: int) -> float:
    """Sum the variances (n,) of values less their ``part`` of the sum of their kind."""
    return float(np.sum(variance * (1.0 - 2.0 * part) + part**2 * np.bincount(kind, variance, n_kinds)[kind]))


def _uneven(readings: Readings, rate: Floats, n_kinds: int) -> Floats:
    """Give ``Σ (d r)²/(Σ d r)²`` over the months of each kind of interval, (K,): one over the number of like months."""
    one = np.zeros(n_kinds, dtype=np.intp)
    one[readings.kind] = np.arange(readings.kind.size)
    use = readings.overlap[one].toarray() * rate
    total = use.sum(axis=1) ** 2
    return np.asarray(np.divide((use**2).sum(axis=1), total, out=np.ones(n_kinds), where=total > 0))


def _unlike_the_county(readings: Readings, level: Floats, rate: Floats, some: Bools) -> Floats:
    """Give the variance of the energy of kinds, and of some months read by few meters, for townships one apart, (K,).

    Relative; ``q Σ_t (p_t - P_t)²`` with p the parts that townships have in it and P those in all: where each
    township's meters are read on all days alike these differ from the county's rates by nothing.
    """
    n_kinds, n_groups = int(readings.kind.max(initial=-1)) + 1, int(readings.group.max(initial=0)) + 1
    size, group = level[readings.meter], readings.group
    cells = np.bincount(readings.kind * n_groups + group[readings.meter], size, n_kinds * n_groups)
    within = membership(group, n_groups) @ (level[:, None] * readings.days[:, some])
    parts = np.vstack([cells.reshape(n_kinds, n_groups), within.T])
    parts /= np.maximum(parts.sum(axis=1, keepdims=True), _TINY)
    county = np.bincount(group, level, n_groups) / max(float(level.sum()), _TINY)
    uneven = np.concatenate([_uneven(readings, rate, n_kinds), np.ones(int(some.sum()))])
    return np.asarray(uneven * ((parts - county) ** 2).sum(axis=1))
