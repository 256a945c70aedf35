"""How many wells of each stratum: the allocation that makes the anticipated variance of the total smallest."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from elec2water.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Allocation:
    """Sample size and anticipated variance of every stratum.

    Attributes
    ----------
    n_wells, n_sample : (H,) array of int
    energy_kwh : (H,) array
    variance : (H,) array
        Anticipated variance of the stratum's total, in units of energy squared: that of the volume over κ².
    """

    n_wells: Integers
    n_sample: Integers
    energy_kwh: Floats
    variance: Floats

    @property
    def expected_cv(self) -> Floats:
        """Anticipated coefficient of variation of each stratum's total (H,)."""
        return np.sqrt(self.variance) / self.energy_kwh

    @property
    def total_cv(self) -> float:
        """Anticipated coefficient of variation of the county's total."""
        return math.sqrt(math.fsum(self.variance)) / math.fsum(self.energy_kwh)


class _Curve:
    """Anticipated variance of one stratum as its sample grows.

    With inclusion probabilities π ∝ E, capped at one, and wells whose κ has coefficient of variation c, the
    anticipated variance of the total is c² Σ E² (1/π − 1) (Godambe and Joshi 1965), here c² (S²/m − Q) with m the
    draws left once the wells of certainty are taken, S and Q the sums of E and E² over the others. It is convex in
    the sample size.
    """

    def __init__(self, energy: Floats, squared_cv: float) -> None:
        descending = np.sort(energy)[::-1]
        self.energy: list[float] = [*descending.tolist(), 0.0]
        self.rest: list[float] = [*np.cumsum(descending[::-1])[::-1].tolist(), 0.0]
        self.squares: list[float] = [*np.cumsum(descending[::-1] ** 2)[::-1].tolist(), 0.0]
        self.size = energy.size
        self.squared_cv = squared_cv
        self.certain = 0

    def _is_certain(self, n: int) -> bool:
        return self.energy[self.certain] * (n - self.certain) >= self.rest[self.certain] * (1 - 1e-12)

    def variance(self, n: int) -> float:
        """Return the variance with `n` wells; `n` must not fall from call to call."""
        while self.certain < n and self._is_certain(n):
            self.certain += 1
        drawn = n - self.certain
        if drawn == 0:
            return 0.0
        spread = self.rest[self.certain] ** 2 / drawn - self.squares[self.certain]
        return self.squared_cv * max(spread, 0.0)


def allocate(
    energy: Floats,
    codes: Integers,
    *,
    n: int | None = None,
    target_cv: float | None = None,
    minimum: int = 2,
    log_sd: float = 0.35,
) -> Allocation:
    """Allocate a sample to strata so that the anticipated variance of the total is as small as it can be.

    Wells are added one at a time where they cut the variance most; as every stratum's variance is convex in its sample
    size, each step is the best allocation of its size (Wright 2017), in whole wells, minima and maxima included.

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
    minimum : int
        Fewest wells a stratum (all where it has fewer). It gives way evenly, down to one, where `n` is too small.
    log_sd : float
        Standard deviation of ln κ among the wells of a stratum.

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
    n_wells = np.bincount(codes).astype(np.int64)
    _check(n, target_cv, n_wells, log_sd)
    squared_cv = math.expm1(log_sd**2)
    bounds = np.cumsum(n_wells)[:-1]
    groups = np.split(energy[np.argsort(codes, kind="stable")], bounds)
    curves = [_Curve(group, squared_cv) for group in groups]
    total = math.fsum(energy)
    start = _start(n_wells, minimum, n)
    goal = -1.0 if target_cv is None else (target_cv * total) ** 2
    n_sample, variance = _grow(curves, start, n if n is not None else int(n_wells.sum()), goal)
    sums = np.array([math.fsum(group) for group in groups])
    return Allocation(n_wells, n_sample, sums, variance)


def _check(n: int | None, target_cv: float | None, n_wells: Integers, log_sd: float) -> None:
    if (n is None) == (target_cv is None):
        raise UsageError("design: give either n (the number of sample wells) or target_cv, and not both")
    if log_sd <= 0 or not math.isfinite(log_sd):
        raise UsageError(
            f"design: anticipated_log_sd must be positive, not {log_sd}; 0.2 to 0.4 within strata is usual"
        )
    if target_cv is not None and not 0 < target_cv < math.inf:
        raise UsageError(f"design: target_cv must be positive (0.05 is 5 %), not {target_cv}")
    if n is not None and n > n_wells.sum():
        raise UsageError(f"design: n = {n} is larger than the {n_wells.sum()} wells that can be sampled")
    if n is not None and n < n_wells.size:
        raise UsageError(
            f"design: n = {n} is below the number of strata, {n_wells.size}; take more wells, fewer classes in "
            "[strata], or thin_strata='collapse'"
        )


def _start(n_wells: Integers, minimum: int, n: int | None) -> Integers:
    """Take the minima, lowered together until they fit into n."""
    for floor in range(max(minimum, 1), 0, -1):
        start = np.minimum(n_wells, floor)
        if n is None or start.sum() <= n:
            break
    return start


def _grow(curves: list[_Curve], start: Integers, n: int, goal: float) -> tuple[Integers, Floats]:
    """Add wells where they help most, up to `n` or until the variance is down to `goal`."""
    size = start.tolist()
    variance = [curve.variance(k) for curve, k in zip(curves, size, strict=True)]
    following = [_next(curve, k) for curve, k in zip(curves, size, strict=True)]
    heap = [(after - before, h) for h, (before, after) in enumerate(zip(variance, following, strict=True))]
    heap = [(change, h) for change, h in heap if size[h] < curves[h].size]
    heapq.heapify(heap)
    total, drawn = math.fsum(variance), int(start.sum())
    while heap and drawn < n and total > goal:
        change, h = heapq.heappop(heap)
        size[h] += 1
        drawn += 1
        variance[h] = following[h]
        total += change
        if size[h] < curves[h].size:
            following[h] = _next(curves[h], size[h])
            heapq.heappush(heap, (following[h] - variance[h], h))
    return np.array(size, dtype=np.int64), np.array(variance)


def _next(curve: _Curve, n: int) -> float:
    return curve.variance(n + 1) if n < curve.size else 0.0
