"""How many wells of each stratum: the allocation that makes the anticipated variance of the total smallest."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elec2water.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
AllocationRule: TypeAlias = Literal["optimal", "neyman", "proportional"]


@dataclass(frozen=True)
class Population:
    """The wells of the frame as the allocation sees them.

    Attributes
    ----------
    size : (N,) array
        What inclusion probabilities are proportional to, within strata; positive.
    spread : (N,) array
        Anticipated standard deviation of each well's volume.
    volume : (N,) array
        Anticipated volume of each well.
    codes : (N,) array of int
        Stratum of each well, 0 … H−1, none empty.
    response : float
        Share of the drawn wells that is expected to be measured in the end: the rest refuse or have a dead meter.
    """

    size: Floats
    spread: Floats
    volume: Floats
    codes: Integers
    response: float = 1.0

    @property
    def n_wells(self) -> Integers:
        """Wells of each stratum (H,)."""
        return np.bincount(self.codes).astype(np.int64)

    def lost(self, variance: Floats, sum_of_squares: Floats) -> Floats:
        """Anticipated variance once the expected losses are taken off: Σ v² (1/(π r) − 1) for response r."""
        return np.asarray((variance + sum_of_squares) / self.response - sum_of_squares)

    def by_stratum(self, values: Floats) -> Floats:
        """Add up by stratum (H,)."""
        return np.asarray(np.bincount(self.codes, values), dtype=np.float64)


@dataclass(frozen=True)
class Allocation:
    """Sample size and anticipated variance of every stratum.

    Attributes
    ----------
    n_wells, n_sample : (H,) array of int
    volume : (H,) array
        Anticipated volume of the stratum.
    variance : (H,) array
        Anticipated variance of the stratum's total, in units of volume squared.
    """

    n_wells: Integers
    n_sample: Integers
    volume: Floats
    variance: Floats

    @property
    def expected_cv(self) -> Floats:
        """Anticipated coefficient of variation of each stratum's total (H,)."""
        return np.sqrt(self.variance) / self.volume

    @property
    def total_cv(self) -> float:
        """Anticipated coefficient of variation of the county's total."""
        return math.sqrt(math.fsum(self.variance)) / math.fsum(self.volume)


class Curve:
    """Anticipated variance of one stratum as its sample grows.

    With inclusion probabilities π ∝ size, capped at one, and anticipated standard deviations v, the anticipated
    variance of the total is Σ v² (1/π − 1) (Godambe and Joshi 1965), here R W/m − Q with m the draws left once the
    wells of certainty are taken, and R, W, Q the sums of size, v²/size and v² over the others. It is convex in the
    sample size, and with size ∝ v no other probabilities do better.
    """

    def __init__(self, size: Floats, spread: Floats) -> None:
        """Take the wells by falling `size`."""
        self._sizes = size
        self._rest, self._weights, self._squares = (_left(x) for x in (size, spread**2 / size, spread**2))
        self.sum_of_squares = float(self._squares[0])
        self.n_wells = size.size

    def variance(self, n: int) -> float:
        """Anticipated variance with `n` wells of the stratum."""
        drawn = n - self._certain(n)
        if drawn <= 0:
            return 0.0
        k = n - drawn
        return max(float(self._rest[k] * self._weights[k] / drawn - self._squares[k]), 0.0)

    def probability(self, n: int) -> Floats:
        """Inclusion probabilities with `n` wells of the stratum, in the order of the curve."""
        certain = self._certain(n)
        probability = np.ones(self.n_wells)
        if certain < self.n_wells:
            probability[certain:] = self._sizes[certain:] * ((n - certain) / self._rest[certain])
        return probability

    def _certain(self, n: int) -> int:
        """Count the wells taken with certainty: those at the head that reach one, each once the ones before are out."""
        found = 0
        step = 16
        while found < n:
            k = np.arange(found, min(found + step, n))
            reached = self._sizes[k] * (n - k) >= self._rest[k] * (1 - 1e-12)
            if not reached.all():
                return found + int(np.argmin(reached))
            found, step = found + k.size, step * 4
        return n


def _left(values: Floats) -> Floats:
    """Σ from each place to the end, and zero after it."""
    sums = np.zeros(values.size + 1)
    np.cumsum(values[::-1], out=sums[-2::-1])
    return sums


def inclusion_probabilities(size: Floats, n: int) -> Floats:
    """Inclusion probabilities proportional to size, capped at one.

    Units whose probability would reach one are taken with certainty, and the rest of the sample is shared among the
    others, until none is left above one (Särndal, Swensson and Wretman 1992, section 3.6.2).

    Parameters
    ----------
    size : (N,) array
        Positive sizes.
    n : int
        Sample size, at most N.

    Returns
    -------
    (N,) array
        Probabilities summing to `n`.
    """
    order = np.argsort(-size, kind="stable")
    probability = np.empty(size.size)
    probability[order] = Curve(size[order], size[order]).probability(n)
    return probability


class Allocator:
    """Allocations of any size for one population, its curves made once."""

    def __init__(self, population: Population, minimum: ArrayLike) -> None:
        self.population = population
        self.n_wells = population.n_wells
        self.minimum = np.minimum(
            np.broadcast_to(np.asarray(minimum, dtype=np.int64), self.n_wells.shape), self.n_wells
        )
        self._order = np.lexsort((-population.size, population.codes))
        ends = np.cumsum(self.n_wells).tolist()
        size, spread = population.size[self._order], population.spread[self._order]
        self.curves = [Curve(size[a:b], spread[a:b]) for a, b in pairwise([0, *ends])]
        self.volume = population.by_stratum(population.volume)
        self._squares = np.array([curve.sum_of_squares for curve in self.curves])

    def probabilities(self, n_sample: Integers) -> Floats:
        """Inclusion probabilities of all wells (N,): in each stratum proportional to size, capped at one."""
        probability = np.empty(self._order.size)
        parts = [curve.probability(n) for curve, n in zip(self.curves, n_sample.tolist(), strict=True)]
        probability[self._order] = np.concatenate(parts)
        return probability

    def result(self, n_sample: Integers) -> Allocation:
        """Give the variance that any allocation leaves."""
        variance = np.array([curve.variance(int(n)) for curve, n in zip(self.curves, n_sample, strict=True)])
        return Allocation(self.n_wells, n_sample, self.volume, self.population.lost(variance, self._squares))

    def of_size(self, n: int, rule: AllocationRule = "optimal") -> Allocation:
        """Allocate `n` wells; the minima give way evenly, down to one, where `n` is too small for them."""
        start = self.start(n)
        if rule == "optimal":
            return self.result(_grown(self.curves, start, n, -1.0))
        return self.result(self.shared(n, rule))

    def shared(self, n: int, rule: AllocationRule) -> Integers:
        """Share `n` in proportion to the wells of the strata, or to wells times spread (H,)."""
        return apportioned(self._shares(rule), n, self.start(n), self.n_wells)

    def reaching(self, target_cv: float, rule: AllocationRule = "optimal") -> Allocation:
        """Allocate the fewest wells with which the total's anticipated CV is at most `target_cv`.

        Raises
        ------
        UsageError
            If not even all wells of the frame reach it, because of those expected to be lost.
        """
        goal = self._goal(target_cv)
        if rule == "optimal":
            return self.result(_grown(self.curves, self.minimum, int(self.n_wells.sum()), goal))
        low, high = int(self.minimum.sum()), int(self.n_wells.sum())
        while low < high:
            middle = (low + high) // 2
            if self.of_size(middle, rule).total_cv <= target_cv:
                high = middle
            else:
                low = middle + 1
        return self.of_size(low, rule)

    def start(self, n: int) -> Integers:
        """Take the minima, lowered together until they fit into `n`."""
        start = self.minimum
        for floor in range(int(start.max(initial=1)), 0, -1):
            if start.sum() <= n:
                break
            start = np.minimum(start, max(floor - 1, 1))
        return start

    def _goal(self, target_cv: float) -> float:
        """Variance before losses that is the target after them."""
        squares = math.fsum(self._squares)
        goal = ((target_cv * math.fsum(self.volume)) ** 2 + squares) * self.population.response - squares
        if goal < 0:
            least = math.sqrt(squares * (1 / self.population.response - 1)) / math.fsum(self.volume)
            lost = 1 - self.population.response
            raise UsageError(
                f"design: no number of wells reaches target_cv = {target_cv:g}: with {lost:.0%} of the wells expected "
                f"to be lost even all {self.n_wells.sum()} of the frame leave {least:.2%}; raise the target, or lower "
                "refusal_rate and dead_meter_rate"
            )
        return goal

    def _shares(self, rule: AllocationRule) -> Floats:
        """n_h ∝ N_h, or N_h S_h with S_h the anticipated standard deviation of a well's volume in the stratum."""
        if rule == "proportional":
            return self.n_wells.astype(np.float64)
        p = self.population
        mean = self.volume / self.n_wells
        square = p.by_stratum(p.spread**2 + (p.volume - mean[p.codes]) ** 2)
        return np.asarray(np.sqrt(self.n_wells * square), dtype=np.float64)


def allocate(
    energy: Floats,
    codes: Integers,
    *,
    n: int | None = None,
    target_cv: float | None = None,
    minimum: ArrayLike = 2,
    log_sd: float = 0.35,
    rule: AllocationRule = "optimal",
) -> Allocation:
    """Allocate a sample to strata for wells whose κ are alike: sizes are the energies.

    Under ``optimal`` wells are added one at a time where they cut the anticipated variance most; as every stratum's
    variance is convex in its sample size, each step is the best allocation of its size (Wright 2017), in whole wells,
    minima and maxima included. ``neyman`` (n_h ∝ N_h S_h) and ``proportional`` (n_h ∝ N_h) are for comparison.

    Parameters
    ----------
    energy : (N,) array
        Energy of each well [kWh], positive.
    codes : (N,) array of int
        Stratum of each well, 0 … H−1, none empty.
    n : int, optional
        Size of the sample. Either this or `target_cv` is given.
    target_cv : float, optional
        The coefficient of variation of the total to reach, with the smallest sample that does.
    minimum : int or (H,) array of int
        Fewest wells a stratum (all where it has fewer). It gives way evenly, down to one, where `n` is too small.
    log_sd : float
        Standard deviation of ln κ among the wells of a stratum.
    rule : {"optimal", "neyman", "proportional"}

    Returns
    -------
    Allocation

    Raises
    ------
    UsageError
        If not exactly one of `n` and `target_cv` is given; `n` is below the number of strata or above that of wells; or
        `target_cv` or `log_sd` is not positive.

    References
    ----------
    Wright, T. (2017), Exact optimal sample allocation: more efficient than Neyman, Stat. Prob. Letters 129, 50-57.
    """
    if not 0 < log_sd < math.inf:
        raise UsageError(f"design: log_sd must be positive, not {log_sd}; 0.2 to 0.4 within strata is usual")
    population = Population(energy, energy * math.sqrt(math.expm1(log_sd**2)), energy, codes)
    return allocated(Allocator(population, minimum), n=n, target_cv=target_cv, rule=rule)


def allocated(
    allocator: Allocator, *, n: int | None = None, target_cv: float | None = None, rule: AllocationRule = "optimal"
) -> Allocation:
    """Allocate by size or by target, the arguments checked; see :func:`allocate`."""
    check_size(n, target_cv, allocator.n_wells, rule)
    if n is not None:
        return allocator.of_size(n, rule)
    return allocator.reaching(target_cv if target_cv is not None else 0.0, rule)


def check_size(n: int | None, target_cv: float | None, n_wells: Integers, rule: str) -> None:
    """Refuse a size that strata of `n_wells` (H,) wells cannot have, and a rule that is not known.

    Raises
    ------
    UsageError
    """
    if (n is None) == (target_cv is None):
        raise UsageError("design: give either n (the number of sample wells) or target_cv, and not both")
    if rule not in get_args(AllocationRule):
        raise UsageError(f"design: allocation must be one of {', '.join(get_args(AllocationRule))}, not {rule!r}")
    if target_cv is not None and not 0 < target_cv < math.inf:
        raise UsageError(f"design: target_cv must be positive (0.05 is 5 %), not {target_cv}")
    if n is not None and n > n_wells.sum():
        raise UsageError(f"design: n = {n} is larger than the {n_wells.sum()} wells that can be sampled")
    if n is not None and n < n_wells.size:
        raise UsageError(
            f"design: n = {n} is below the number of strata, {n_wells.size}; take more wells, fewer classes in "
            "[strata], or thin_strata='coefficient'"
        )


def _grown(curves: Sequence[Curve], start: Integers, n: int, goal: float) -> Integers:
    """Add wells where they help most, up to `n` or until the variance is down to `goal`."""
    size: list[int] = start.tolist()
    variance = [curve.variance(k) for curve, k in zip(curves, size, strict=True)]
    following = [_next(curve, k) for curve, k in zip(curves, size, strict=True)]
    heap = [(after - before, h) for h, (before, after) in enumerate(zip(variance, following, strict=True))]
    heap = [(change, h) for change, h in heap if size[h] < curves[h].n_wells]
    heapq.heapify(heap)
    total, drawn = math.fsum(variance), int(start.sum())
    while heap and drawn < n and total > goal:
        change, h = heapq.heappop(heap)
        size[h] += 1
        drawn += 1
        variance[h] = following[h]
        total += change
        if size[h] < curves[h].n_wells:
            following[h] = _next(curves[h], size[h])
            heapq.heappush(heap, (following[h] - variance[h], h))
    return np.array(size, dtype=np.int64)


def _next(curve: Curve, n: int) -> float:
    return curve.variance(n + 1) if n < curve.n_wells else 0.0


def apportioned(shares: Floats, n: int, low: Integers, high: Integers) -> Integers:
    """Share `n` wells in proportion, between `low` and `high`, by largest remainders.

    Parameters
    ----------
    shares : (H,) array
    n : int
        Between the sums of `low` and `high`.
    low, high : (H,) array of int

    Returns
    -------
    (H,) array of int
    """
    scale = (0.0, float(n) / max(float(shares[shares > 0].min(initial=1.0)), 1e-300))
    for _ in range(200):
        middle = 0.5 * (scale[0] + scale[1])
        fits = np.clip(shares * middle, low, high).sum() <= n
        scale = (middle, scale[1]) if fits else (scale[0], middle)
    real = np.clip(shares * scale[0], low, high)
    whole = np.floor(real + 1e-9).astype(np.int64)
    left = n - int(whole.sum())
    able = np.flatnonzero(whole < high)
    most = able[np.argsort(-(real - whole)[able], kind="stable")]
    whole[most[:left]] += 1
    return whole
