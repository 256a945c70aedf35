"""Choosing tests as a set: after each choice every other test is worth what it still adds, for what it then costs.

What was chosen step by step is then improved by exchanges (Fedorov 1972, Theory of Optimal Experiments, section 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from elec2water.retest.effects import Candidates

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_BUNDLE = 8
_EXCHANGES_A_TEST = 3
_MOST_WORK = 5_000_000_000
"""Tests chosen × totals × wells × exchanges beyond which a choice stays as it is: some ten seconds."""
_WORTHWHILE = 1e-9


@dataclass(frozen=True)
class Prices:
    """What tests cost: ``well`` (N,) each, ``visit`` once for every place ``place`` (N,) that is visited."""

    well: Floats
    visit: float
    place: Ints


@dataclass(frozen=True)
class Choice:
    """Tests in the order in which they were chosen.

    ``well`` (k,) places among the candidates, ``cut`` (k, D) what each takes from the variance of every total [m⁶],
    ``cost`` (k,) what each adds to the cost, its visit included.
    """

    well: Ints
    cut: Floats
    cost: Floats


class Search:
    """All tests, conditioned on those chosen so far."""

    def __init__(self, candidates: Candidates, weight: Floats, allowed: NDArray[np.bool_], repeats: int) -> None:
        self.candidates, self.weight = candidates, weight
        self.cross = candidates.total_covariances()
        self.variance = candidates.signal_variances() + candidates.noise
        self.wells: list[int] = []
        self.roots: list[float] = []
        self.rows: list[Floats] = []
        self.along: list[Floats] = []
        self.times_left = np.where(allowed, repeats, 0)

    @property
    def gains(self) -> Floats:
        """What each test would take from the weighted variances of the totals, (N,); minus one where not allowed."""
        gain = self.weight @ self.cross**2 / self.variance
        return np.where(self.times_left > 0, gain, -1.0)

    def take(self, well: int) -> Floats:
        """Condition on a test of one well; gives what it takes from the variance of every total, (D,)."""
        root = np.sqrt(self.variance[well])
        row = self.candidates.signal_covariances(well)
        if self.rows:
            row -= np.array([earlier[well] for earlier in self.rows]) @ np.array(self.rows)
        row /= root
        along = self.cross[:, well] / root
        self.cross -= np.outer(along, row)
        self.variance = np.maximum(self.variance - row**2, self.candidates.noise)
        self.wells.append(well)
        self.roots.append(float(root))
        self.rows.append(row)
        self.along.append(along)
        self.times_left[well] -= 1
        return np.asarray(along**2)

    def gains_without(self, k: int, factor: Floats) -> Floats:
        """Give what each test would take if the ``k``-th of those taken had not been made, (N,).

        With ``P`` the inverse of the covariance of the readings taken, leaving the k-th out adds ``(P c_a)_k (P
        c_b)_k / P_kk`` to the covariance of any a and b.

        Parameters
        ----------
        k : int
        factor : (m, m)
            Inverse of the Cholesky factor of the covariance of the m readings, see :meth:`inverse_factor`.
        """
        share = factor[:, k] / np.linalg.norm(factor[:, k])
        reading = share @ np.array(self.rows)
        total = share @ np.array(self.along)
        cross = self.cross + np.outer(total, reading)
        gain = self.weight @ cross**2 / (self.variance + reading**2)
        return np.where(self.times_left > 0, gain, -1.0)

    def inverse_factor(self) -> Floats:
        """Invert the Cholesky factor of the covariance of the readings taken, (m, m)."""
        rows = np.array(self.rows)[:, self.wells]
        factor = np.tril(rows.T, -1) + np.diag(self.roots)
        return np.asarray(linalg.solve_triangular(factor, np.eye(len(self.wells)), lower=True))

    def bundle(self, wells: Ints, price: Floats, visit: float, most: int) -> tuple[Ints, float]:
        """Best first tests of one place, in greedy order, and what they take per cost of wells and visit."""
        wells = wells[np.argsort(-self.gains[wells], kind="stable")[:_BUNDLE]]
        H = np.stack([self.candidates.row(int(w)) for w in wells])
        signal = H @ self.candidates.covariance @ H.T + np.diag(self.candidates.own[wells])
        for earlier in self.rows:
            signal -= np.outer(earlier[wells], earlier[wells])
        cross, variance = self.cross[:, wells].copy(), self.variance[wells].copy()
        order: list[int] = []
        taken, spent, best, kept = 0.0, visit, -1.0, 0
        for _ in range(min(most, wells.size)):
            gain = self.weight @ cross**2 / variance / price[wells]
            gain[order] = -1.0
            k = int(np.argmax(gain))
            taken += float(self.weight @ cross[:, k] ** 2 / variance[k])
            spent += float(price[wells[k]])
            order.append(k)
            if taken / spent > best:
                best, kept = taken / spent, len(order)
            row = signal[k] / np.sqrt(variance[k])
            cross -= np.outer(cross[:, k] / np.sqrt(variance[k]), row)
            variance = np.maximum(variance - row**2, self.candidates.noise[wells])
            signal -= np.outer(row, row)
        return wells[order[:kept]], best


def choose(
    candidates: Candidates,
    weight: Floats,
    *,
    n: int,
    prices: Prices,
    allowed: NDArray[np.bool_],
    budget: float = np.inf,
    repeats: int = 1,
    other: Ints | None = None,
) -> Choice:
    """Choose up to ``n`` tests within ``budget``, each step taking most variance for its cost.

    Where a visit has a price of its own, a place not yet visited competes with its best few tests together, so that
    the price of the visit is laid on all of them. Then single tests are exchanged for others as long as the set takes
    more variance for no more money, and put in the order in which they are worth it.

    Parameters
    ----------
    candidates : Candidates
    weight : (D,)
        What a unit of variance of each total counts.
    n : int
        Most tests.
    prices : Prices
    allowed : (N,)
        Wells that can be tested.
    budget : float
        Most that may be spent.
    repeats : int
        Most tests of one well.
    other : (m,), optional
        Another set to start exchanges from. The better of the two is chosen, if it costs no more.
    """
    greedy = _grown(Search(candidates, weight, allowed, repeats), prices, n, budget)
    better = _exchanged(candidates, weight, prices, greedy.well, allowed=allowed, repeats=repeats)
    if other is not None and _whole_cost(prices, other) <= _whole_cost(prices, better):
        second = _exchanged(candidates, weight, prices, other, allowed=allowed, repeats=repeats)
        better = max(better, second, key=lambda wells: _taken(Search(candidates, weight, allowed, repeats), wells))
    if np.array_equal(np.sort(better), np.sort(greedy.well)):
        return greedy
    return _in_order(candidates, weight, prices, better)


def _taken(search: Search, wells: Ints) -> float:
    """Give what a set takes from the weighted variances of the totals."""
    return float(sum(search.weight @ search.take(int(well)) for well in wells))


def _whole_cost(prices: Prices, wells: Ints) -> float:
    return float(prices.well[wells].sum() + prices.visit * np.unique(prices.place[wells]).size)


def _grown(search: Search, prices: Prices, n: int, budget: float) -> Choice:
    """Add tests step by step."""
    visited = np.zeros(int(prices.place.max(initial=-1)) + 1, dtype=bool)
    cuts: list[Floats] = []
    costs: list[float] = []
    left = budget
    while len(costs) < n:
        some = _next(search, prices, visited, n - len(costs), left)
        if not some.size:
            break
        for well in some.tolist():
            costs.append(_cost(prices, visited, well))
            cuts.append(search.take(well))
            visited[prices.place[well]] = True
            left -= costs[-1]
    D = search.candidates.sums.shape[0]
    return Choice(np.array(search.wells, dtype=np.intp), np.array(cuts).reshape(-1, D), np.array(costs))


def _cost(prices: Prices, visited: NDArray[np.bool_], well: int) -> float:
    return float(prices.well[well]) + (0.0 if visited[prices.place[well]] else prices.visit)


def _exchanged(
    candidates: Candidates,
    weight: Floats,
    prices: Prices,
    wells: Ints,
    *,
    allowed: NDArray[np.bool_],
    repeats: int,
) -> Ints:
    """Exchange the test whose replacement by another takes most, until none takes more for no more money."""
    work = wells.size * candidates.sums.shape[0] * candidates.n_wells
    for _ in range(min(_EXCHANGES_A_TEST * wells.size, _MOST_WORK // max(work, 1))):
        search = Search(candidates, weight, allowed, repeats)
        taken = _taken(search, wells)
        factor = search.inverse_factor()
        best, out, new = _WORTHWHILE * taken, -1, -1
        for k, well in enumerate(wells):
            gain = search.gains_without(k, factor)
            # What the test itself takes last, were all the others made before it.
            now = float(weight @ (factor[:, k] @ np.array(search.along)) ** 2 / (factor[:, k] @ factor[:, k]))
            gain = np.where(_spared(prices, np.delete(wells, k), int(well)) >= 0.0, gain, -1.0)
            if (more := float(gain.max(initial=-1.0)) - now) > best:
                best, out, new = more, k, int(gain.argmax())
        if out < 0:
            break
        wells = np.append(np.delete(wells, out), new)
    return wells


def _spared(prices: Prices, others: Ints, well: int) -> Floats:
    """Money saved when each test (N,) stands in the place of that of ``well`` beside ``others``; rounding aside."""
    visited = np.isin(prices.place, prices.place[others])
    cost = prices.well + np.where(visited, 0.0, prices.visit)
    return np.asarray(cost[well] * (1.0 + _WORTHWHILE) - cost)


def _in_order(candidates: Candidates, weight: Floats, prices: Prices, wells: Ints) -> Choice:
    """Put the tests of a set in the order in which they are worth their money."""
    times = np.bincount(wells, minlength=candidates.n_wells)
    search = Search(candidates, weight, times > 0, 1)
    search.times_left = times
    return _grown(search, prices, wells.size, np.inf)


def _next(search: Search, prices: Prices, visited: NDArray[np.bool_], most: int, budget: float) -> Ints:
    """Give the tests to take next, in order; none where nothing is left that helps and can be paid."""
    gains = search.gains
    extra = np.where(visited[prices.place], 0.0, prices.visit)
    payable = (gains > 0.0) & (prices.well + extra <= budget)
    if not payable.any():
        return np.zeros(0, dtype=np.intp)
    if prices.visit <= 0.0:
        return np.array([np.argmax(np.where(payable, gains / prices.well, -1.0))], dtype=np.intp)
    near = payable & visited[prices.place]
    best, chosen = 0.0, np.zeros(0, dtype=np.intp)
    if near.any():
        ratio = np.where(near, gains / prices.well, -1.0)
        best, chosen = float(ratio.max()), np.array([np.argmax(ratio)], dtype=np.intp)
    for place in np.unique(prices.place[payable & ~near]):
        here = np.flatnonzero(payable & (prices.place == place))
        affordable = int((budget - prices.visit) / prices.well[here].min()) if np.isfinite(budget) else most
        some, ratio_here = search.bundle(here, prices.well, prices.visit, max(1, min(most, affordable)))
        while some.size > 1 and prices.visit + prices.well[some].sum() > budget:
            some = some[:-1]
        if ratio_here > best:
            best, chosen = ratio_here, some
    return chosen
