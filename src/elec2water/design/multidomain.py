"""The smallest sample that keeps a promise to every domain at once: multi-domain allocation in whole wells.

The variance that the total of domain d keeps after n_h wells of each stratum is Σ_h a_dh/n_h less a constant, so that a
promised precision is a bound Σ_h a_dh/n_h ≤ b_d. The cheapest n under all bounds solves a convex problem (Bethel 1989)
whose dual has one price λ_d a domain: n_h = √(Σ_d λ_d a_dh / c_h) (Chromy 1987). Domains of one kind part the strata
among themselves, so that an iteration costs one pass over the strata for each kind.

For given prices the best *whole* n_h is the least with n_h (n_h + 1) ≥ Σ_d λ_d a_dh / c_h, the geometric rounding of
the real one (Wright 2017); what it leaves broken is mended and what it leaves over is taken back, well by well.

References
----------
Bethel, J. (1989), Sample allocation in multivariate surveys, Survey Methodology 15, 47-57.
Chromy, J.R. (1987), Design optimization with multiple objectives, Proc. Survey Research Methods, ASA, 194-199.
Wright, T. (2017), Exact optimal sample allocation: more efficient than Neyman, Stat. Prob. Letters 129, 50-57.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from elec2water.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_ROUNDS = 5_000
_GAP = 1e-5
_TOLERANCE = 1e-9
_ALMOST_NONE = 1e-9


@dataclass(frozen=True)
class Bounds:
    """One kind of domain (townships, say): every stratum lies in one of its D domains.

    Attributes
    ----------
    domain : (H,) array of int
        Domain of each stratum, 0 … D−1.
    numerator : (H,) array
        a_h: the variance of the stratum's total is a_h/n_h less a constant; N_h² S_h² under simple random sampling.
    limit : (D,) array
        b_d: what Σ a_h/n_h of the domain may be at most; infinite where nothing is promised.
    """

    domain: Integers
    numerator: Floats
    limit: Floats

    def load(self, n: Floats) -> Floats:
        """Σ a_h/n_h of each domain (D,)."""
        return np.asarray(np.bincount(self.domain, self.numerator / n, self.limit.size), dtype=np.float64)


def cv_bounds(domain: Integers, n_wells: Integers, variance: Floats, total: Floats, target_cv: Floats) -> Bounds:
    """Bounds of promised coefficients of variation under simple random sampling within strata.

    Parameters
    ----------
    domain : (H,) array of int
    n_wells : (H,) array of int
        Size N_h of each stratum.
    variance : (H,) array
        Variance S_h² of the variable among the wells of the stratum (divisor N_h − 1).
    total : (D,) array
        Total of the variable in each domain.
    target_cv : (D,) array
        The coefficient of variation promised; infinite for none.

    Returns
    -------
    Bounds
        With the finite population correction: Σ N²S²/n ≤ (CV·total)² + Σ N S².
    """
    size = n_wells.astype(np.float64)
    constant = np.bincount(domain, size * variance, total.size)
    return Bounds(domain, size**2 * variance, (target_cv * total) ** 2 + constant)


def smallest_sample(
    bounds: Sequence[Bounds], *, lower: Integers, upper: Integers, cost: Floats | None = None
) -> tuple[Integers, Floats]:
    """Allocate the cheapest sample that keeps every bound.

    Parameters
    ----------
    bounds : sequence of Bounds
        One for each kind of domain and variable.
    lower, upper : (H,) array of int
        Fewest and most wells of each stratum; `lower` at least 1.
    cost : (H,) array, optional
        Cost of a well in each stratum; all alike by default.

    Returns
    -------
    n : (H,) array of int
        The allocation in whole wells: every bound holds.
    real : (H,) array
        The real-valued optimum, no allocation in whole wells is cheaper.

    Raises
    ------
    UsageError
        If a bound is broken even with `upper` wells in every stratum; the text says how many and by how much.
    """
    price = np.ones(lower.size) if cost is None else np.asarray(cost, dtype=np.float64)
    low, high = lower.astype(np.float64), upper.astype(np.float64)
    _check_reachable(bounds, high)
    weight, real = _real_optimum(bounds, low, high, price)
    whole = np.clip(np.ceil(np.sqrt(0.25 + weight / price) - 0.5), low, high)
    whole = _mended(bounds, whole, high, price)
    return _taken_back(bounds, whole, low, price).astype(np.int64), real


def real_optimum(bounds: Sequence[Bounds]) -> Floats:
    """Allocate without limits and in fractions of wells: the least Σ n_h under the bounds, to one part in 10⁵.

    Parameters
    ----------
    bounds : sequence of Bounds

    Returns
    -------
    (H,) array
        Zero where the numerators are.
    """
    size = bounds[0].domain.size
    low = np.full(size, _ALMOST_NONE)
    return _real_optimum(bounds, low, np.full(size, np.inf), np.ones(size))[1]


def _check_reachable(bounds: Sequence[Bounds], high: Floats) -> None:
    worst, broken = 1.0, 0
    for bound in bounds:
        ratio = bound.load(high) / np.where(bound.limit > 0, bound.limit, np.finfo(np.float64).tiny)
        broken += int((ratio > 1 + _TOLERANCE).sum())
        worst = max(worst, float(ratio.max(initial=0.0)))
    if broken:
        raise UsageError(
            f"design: {broken} of the target CVs cannot be reached by any number of wells (all wells of the frame "
            f"leave {np.sqrt(worst):.3g} times the worst); raise them, or lower refusal_rate and dead_meter_rate"
        )


def _real_optimum(bounds: Sequence[Bounds], low: Floats, high: Floats, cost: Floats) -> tuple[Floats, Floats]:
    """Return Σ λ a of each stratum at the optimal prices, and the real-valued allocation."""
    prices = [_first_prices(bound, low, cost) for bound in bounds]
    best = (np.inf, low)
    for _ in range(_ROUNDS):
        weight = _weights(bounds, prices)
        n = np.clip(np.sqrt(weight / cost), low, high)
        free = (n > low) & (n < high)
        loads = [bound.load(n) for bound in bounds]
        dual = float(cost @ n + (weight / n).sum()) - sum(_paid(p, b) for p, b in zip(prices, bounds, strict=True))
        feasible = _scaled_up(bounds, loads, n, high)
        spent = float(cost @ feasible)
        if spent < best[0]:
            best = (spent, feasible)
        if best[0] - dual <= _GAP * best[0]:
            break
        prices = [_updated(bound, p, n, free, load) for bound, p, load in zip(bounds, prices, loads, strict=True)]
    return weight, best[1]


def _scaled_up(bounds: Sequence[Bounds], loads: Sequence[Floats], n: Floats, high: Floats) -> Floats:
    """Multiply every stratum by the worst breach of its domains: breaches at `high` are as they are."""
    factor = np.ones(n.size)
    for bound, load in zip(bounds, loads, strict=True):
        factor = np.maximum(factor, (load / bound.limit)[bound.domain])
    return np.minimum(n * factor, high)


def _first_prices(bound: Bounds, low: Floats, cost: Floats) -> Floats:
    """Prices that would be right if this were the only kind of domain and no stratum at a limit."""
    root = np.bincount(bound.domain, np.sqrt(bound.numerator * cost), bound.limit.size)
    needed = bound.load(low) > bound.limit
    return np.where(needed, (root / np.maximum(bound.limit, np.finfo(np.float64).tiny)) ** 2, 0.0)


def _paid(price: Floats, bound: Bounds) -> float:
    return float(price[price > 0] @ bound.limit[price > 0])


def _weights(bounds: Sequence[Bounds], prices: Sequence[Floats]) -> Floats:
    total = np.zeros(bounds[0].domain.size)
    for bound, price in zip(bounds, prices, strict=True):
        total += price[bound.domain] * bound.numerator
    return total


def _updated(bound: Bounds, price: Floats, n: Floats, free: NDArray[np.bool_], load: Floats) -> Floats:
    """Chromy's step, on what the strata at their limits leave to the others."""
    moving = np.bincount(bound.domain, np.where(free, bound.numerator / n, 0.0), bound.limit.size)
    room = bound.limit - (load - moving)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((room > 0) & (moving > 0), moving / room, load / bound.limit)
    return np.asarray(price * np.clip(ratio, 0.1, 10.0) ** 2)


def _mended(bounds: Sequence[Bounds], n: Floats, high: Floats, cost: Floats) -> Floats:
    """Add the well that helps a broken domain most, in every broken domain at a time, until none is broken."""
    n = n.copy()
    while True:
        excess = [bound.load(n) - bound.limit * (1 + 1e-12) for bound in bounds]
        if all((over <= 0).all() for over in excess):
            return n
        gain = np.zeros(n.size)
        for bound, over in zip(bounds, excess, strict=True):
            cut = bound.numerator / (n * (n + 1))
            broken = over > 0
            scale = np.where(broken, over, np.inf)[bound.domain]
            gain += np.minimum(cut / scale, 1.0)
        gain = np.where(n < high, gain / cost, -1.0)
        for bound, over in zip(bounds, excess, strict=True):
            if (over > 0).any():
                n[_best_of_each(gain, bound.domain, np.flatnonzero(over > 0))] += 1
                break


def _best_of_each(gain: Floats, domain: Integers, wanted: Integers) -> Integers:
    """Position of the greatest gain in each of some domains."""
    order = np.lexsort((-gain, domain))
    first = np.searchsorted(domain[order], wanted)
    return np.asarray(order[first], dtype=np.int64)


def _taken_back(bounds: Sequence[Bounds], n: Floats, low: Floats, cost: Floats) -> Floats:
    """Give back wells whose loss no bound feels, the dearest for the slack they use first."""
    n = n.copy()
    slack = [bound.limit * (1 + 1e-12) - bound.load(n) for bound in bounds]
    while True:
        able = n > low
        use = np.zeros(n.size)
        for bound, room in zip(bounds, slack, strict=True):
            more = np.where(n > 1, bound.numerator / (n * np.maximum(n - 1, 1)), np.inf)
            able &= more <= room[bound.domain]
            with np.errstate(divide="ignore", invalid="ignore"):
                use = np.maximum(use, np.nan_to_num(more / room[bound.domain], posinf=np.inf))
        candidates = np.flatnonzero(able)
        if candidates.size == 0:
            return n
        for h in candidates[np.argsort(use[candidates] / cost[candidates], kind="stable")]:
            losses = [float(bound.numerator[h] / (n[h] * (n[h] - 1))) for bound in bounds]
            if all(loss <= room[b.domain[h]] for loss, room, b in zip(losses, slack, bounds, strict=True)):
                n[h] -= 1
                for loss, room, bound in zip(losses, slack, bounds, strict=True):
                    room[bound.domain[h]] -= loss
